// From an answer to the editor's word that its edits are made.
#include "lsp/actions/delivery.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "lsp/actions/patch.hpp"
#include "lsp/actions/unopened.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view make_it = "Make the change";
constexpr std::string_view drop_it = "Drop it";

std::vector<std::string> files_of(const Job& job) {
  std::vector<std::string> files;
  for (const Target& target : job.request.targets) files.push_back(target.uri);
  for (const SentEdit& edit : job.sent) files.push_back(edit.uri);
  std::ranges::sort(files);
  const auto repeated = std::ranges::unique(files);
  files.erase(repeated.begin(), repeated.end());
  return files;
}

}  // namespace

Delivery::Delivery(Session& session, JobId job, bool own, Repair repair,
                   std::function<void(const Job&)> show)
    : session_(session), job_(job), own_(own), repair_(std::move(repair)), show_(std::move(show)) {}

void Delivery::begin() {
  if (busy_) return;
  busy_ = true;
  look([this](const Job& job) {
    if (!job.sent.empty()) return resolve(job);
    make_edits(job, false);
  });
}

void Delivery::apply() {
  if (busy_) return;
  busy_ = true;
  unopened_.clear();
  look([this](const Job& job) { make_edits(job, true); });
}

// Reads what is not open, then goes on with the job as it is then.
void Delivery::look(std::function<void(const Job&)> then) {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr) return;
  struct Reading {
    std::vector<std::string> uris;
    std::map<std::string, SnapshotPtr> texts;
  };
  const auto reading = std::make_shared<Reading>();
  for (const std::string& uri : files_of(*job)) {
    if (!session_.documents.last_known(uri)) reading->uris.push_back(uri);
  }
  if (reading->uris.empty()) return then(*job);
  session_.host.background(
      [reading, &host = session_.host, folders = session_.folders] {
        for (const std::string& uri : reading->uris) {
          if (SnapshotPtr text = read_unopened(uri, folders, host)) reading->texts[uri] = text;
        }
      },
      lifetime_.guard([this, reading, then = std::move(then)] {
        unopened_ = std::move(reading->texts);
        if (const Job* now = session_.jobs.find(job_)) then(*now);
      }));
}

// Documents as they are now; files that are not open as they were read.
SnapshotPtr Delivery::find(const std::string& uri) const {
  if (session_.documents.last_known(uri)) return session_.documents.find(uri);
  const auto unopened = unopened_.find(uri);
  return unopened == unopened_.end() ? nullptr : unopened->second;
}

FindSnapshot Delivery::finder() const {
  return [this](const std::string& uri) { return find(uri); };
}

void Delivery::make_edits(const Job& job, bool wanted) {
  Effect effect = effect_of(job, finder());
  if (effect.edits.empty()) {
    const bool unseen = std::ranges::any_of(
        job.request.targets, [this](const Target& target) { return find(target.uri) == nullptr; });
    if (!own_ && unseen) return offer(effect.markdown.value_or(job.text));
    return settle({std::move(effect.markdown)});
  }
  check_edits(session_, effect.edits, finder(),
              lifetime_.guard([this, edits = effect.edits, wanted](const EditsCheck& check) {
                checked(edits, wanted, check);
              }));
}

void Delivery::checked(const std::vector<FileEdit>& edits, bool wanted, const EditsCheck& check) {
  const Job* const job = session_.jobs.find(job_);
  if (job == nullptr) return;
  // What a person typed while it was checked is merged as well, and checked again.
  if (effect_of(*job, finder()).edits != edits) return make_edits(*job, wanted);
  if (!check.refusal.empty()) return refuse(edits, check.refusal);
  if (!check.complaint.empty() && !wanted) {
    if (job->request.repairs) return refuse(edits, "the file would not parse any more");
    const Job before = *job;
    settle({});
    return repair_(before, check.complaint);
  }
  if (!takes_edits(session_.client))
    return refuse(edits, "this editor takes no edits for a certain version of a file");
  const bool creates = std::ranges::any_of(edits, &FileEdit::creates);
  if (creates && !session_.client.creates_files)
    return refuse(edits, "this editor makes no new files");
  // No file is made unseen: the editor asks, or the change waits.
  const bool waits = !own_ || (creates && !session_.client.change_annotations);
  if (waits && !wanted) return offer(diff_markdown(session_, edits, finder()));
  send(edits);
}

void Delivery::send(const std::vector<FileEdit>& edits) {
  std::vector<SentEdit> sent;
  for (const FileEdit& edit : edits)
    sent.push_back(sent_edit(edit.creates ? "" : find(edit.uri)->text->str(), edit));
  session_.jobs.sending(
      job_, std::move(sent),
      lifetime_.guard([this, edits](const std::string& failure) { written_down(edits, failure); }));
}

// An edit that nobody would know of after a crash could be made twice.
void Delivery::written_down(const std::vector<FileEdit>& edits, const std::string& failure) {
  const Job* const job = session_.jobs.find(job_);
  if (job == nullptr) return;
  const Effect now = effect_of(*job, finder());
  if (!failure.empty() || now.edits != edits) {
    session_.jobs.unsent(job_);
    if (failure.empty()) return make_edits(*job, true);
    return offer("That this change is sent could not be written down (" + failure +
                 "), so it waits for you:\n\n" + diff_markdown(session_, edits, finder()));
  }
  apply_edits(session_, job->request.title, edits, finder(),
              lifetime_.guard([this, edits, text = now.markdown](const std::string& refusal) {
                if (is_asked_again()) return;
                if (!refusal.empty()) return refuse(edits, refusal);
                settle({text});
              }));
}

// The editor's answer is about an earlier answer's edits: that of now has its own turn.
bool Delivery::is_asked_again() {
  const Job* const job = session_.jobs.find(job_);
  if (job == nullptr || !job->sent.empty()) return false;
  busy_ = false;
  if (job->state == JobState::waiting) begin();
  return true;
}

// What became of edits whose editor never answered.
void Delivery::resolve(const Job& job) {
  const Fate fate = fate_of(job.sent, finder());
  if (fate == Fate::made) return settle({});
  if (fate == Fate::not_made) {
    session_.jobs.unsent(job_);
    const Effect effect = effect_of(job, finder());
    if (effect.edits.empty()) return settle({effect.markdown});
    return offer(
        "The editor went before it said whether it made this change; it is not there:\n\n" +
        diff_markdown(session_, effect.edits, finder()));
  }
  std::string text =
      "The editor went before it said whether it made this change. It is not made again, as what "
      "stands there now is neither what was nor what would be. This would be:\n";
  for (const SentEdit& edit : job.sent)
    text += "\n" + fenced(edit.inserted, display_path(edit.uri, session_.folders));
  settle({text});
}

void Delivery::offer(const std::string& markdown) {
  busy_ = false;
  session_.jobs.offer(job_, markdown);
  const Job* const job = session_.jobs.find(job_);
  if (job == nullptr) return;
  show_(*job);
  ask_person(*job);
}

// Clients with the extension have a way of their own to say so.
void Delivery::ask_person(const Job& job) {
  if (session_.client.has(extension::feature_jobs) || job.request.batch) return;
  const std::string ready = job.request.title + " is ready and waits for you";
  if (!session_.client.asks_person) {
    session_.rpc.notify("window/showMessage",
                        {{"type", message_type::info},
                         {"message", ready + ": `hearth jobs apply " + std::to_string(job_) +
                                         "` makes the change"}});
    return;
  }
  session_.rpc.request("window/showMessageRequest",
                       {{"type", message_type::info},
                        {"message", ready + "."},
                        {"actions", {{{"title", make_it}}, {{"title", drop_it}}}}},
                       lifetime_.guard([this](const std::variant<Json, RpcError>& answer) {
                         const Json* chosen = std::get_if<Json>(&answer);
                         const Json* title =
                             chosen != nullptr ? lsp::find(*chosen, "title") : nullptr;
                         if (title == nullptr) return;
                         if (*title == make_it) apply();
                         if (*title == drop_it) session_.jobs.dismiss(job_);
                       }));
}

void Delivery::refuse(const std::vector<FileEdit>& edits, const std::string& why_not) {
  const Job* const job = session_.jobs.find(job_);
  if (job == nullptr) return;
  if (session_.client.has(extension::feature_jobs)) {
    session_.rpc.notify("window/showMessage",
                        {{"type", message_type::warning},
                         {"message", job->request.title + ": nothing was changed: " + why_not}});
  }
  settle({"Nothing was changed: " + why_not + ". This is the change:\n\n" +
          diff_markdown(session_, edits, finder())});
}

void Delivery::settle(Settled settled) {
  busy_ = false;
  session_.jobs.settle(job_, std::move(settled));
  if (const Job* const job = session_.jobs.find(job_)) show_(*job);
}

}  // namespace hearth::lsp
