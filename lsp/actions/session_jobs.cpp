// From a job to what its session does with it.
#include "lsp/actions/session_jobs.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <utility>

#include "lsp/actions/attached.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/support/characters.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::lsp {
namespace {

// A session that begins tells of its documents first; one that was lost may come again.
constexpr std::chrono::milliseconds adopting_after{1'000};

// The document that a job without a prompt is about; empty: none.
std::string document_of(const Job& job) {
  if (job.request.has_prompt()) return {};
  const Json place = parse_json(std::string(job.request.place));
  return find(place, "uri") != nullptr ? string_member(place, "uri") : std::string();
}

}  // namespace

struct SessionJobs::Row {
  std::string_view name;
  Command run;
};
const SessionJobs::Row SessionJobs::table[] = {
    {"hearth.session.followUp", &SessionJobs::follow_up},
    {"hearth.session.pause", &SessionJobs::pause},
    {"hearth.session.resume", &SessionJobs::resume},
    {"hearth.session.cancel", &SessionJobs::cancel},
    {"hearth.session.retry", &SessionJobs::retry},
    {"hearth.session.apply", &SessionJobs::apply},
    {"hearth.session.dismiss", &SessionJobs::dismiss},
};

SessionJobs::SessionJobs(Session& session, std::function<void(const Job&)> plan)
    : session_(session), plan_(std::move(plan)) {
  session.jobs.add_adopter(this, session.client.editor, [this] { adopt_soon(); });
  adopt_soon();
}

SessionJobs::~SessionJobs() {
  session_.jobs.remove_adopter(this);
  if (adopting_) session_.host.cancel_timer(*adopting_);
  const auto leave = [this](JobId id) {
    try {
      if (const auto view = views_.find(id); view != views_.end()) view->second->close();
      session_.jobs.disown(id);
    } catch (const std::exception&) {
      // No memory to tell others of it: whoever comes next finds it.
    }
  };
  for (const auto& [id, range] : begun_) leave(id);
  for (const auto& [id, view] : views_) leave(id);
}

Json SessionJobs::commands() {
  Json commands = Json::array();
  for (const Row& row : table) commands.push_back(row.name);
  return commands;
}

bool SessionJobs::has(std::string_view command) {
  return std::ranges::find(table, command, &Row::name) != std::end(table);
}

void SessionJobs::execute(std::string_view command, const Json& arguments, Reply& reply) {
  (this->*std::ranges::find(table, command, &Row::name)->run)(arguments, reply);
}

bool SessionJobs::shows(JobId id) const {
  return views_.contains(id) && session_.jobs.find(id) != nullptr;
}

bool SessionJobs::may_cancel(JobId id) const {
  const Job* const job = session_.jobs.find(id);
  return job != nullptr && !ended(job->state) && (views_.contains(id) || is_of(session_, *job));
}

// ── What a person says ───────────────────────────────────────────────────────────────────────────

// Of other workspaces' jobs nothing is told.
const Job& SessionJobs::requested(const Json& arguments) const {
  const auto id = static_cast<JobId>(integer_member(arguments, "job"));
  const Job* const job = session_.jobs.find(id);
  if (job == nullptr || (!views_.contains(id) && !is_of(session_, *job)))
    throw InvalidParams("there is no such job of this workspace (any more)");
  return *job;
}

void SessionJobs::follow_up(const Json& arguments, Reply& reply) {
  const Job& job = requested(arguments);
  const std::string question = string_member(arguments, "question");
  if (job.text.empty()) {
    reply.error(error_code::request_failed, "there is no answer to go on from");
    return;
  }
  if (!ended(job.state) && job.state != JobState::waiting) {
    reply.error(error_code::request_failed, "the answer before is not whole yet");
    return;
  }
  if (is_blank(question)) {
    reply.error(error_code::request_failed, "the question is empty");
    return;
  }
  std::vector<PinnedFile> attached = attached_files(session_, arguments);
  const auto kept = std::make_shared<Reply>(std::move(reply));
  if (attached.empty()) return ask_next(job, question, kept);
  const auto text = std::make_shared<std::string>();
  session_.host.background(
      [text, attached = std::move(attached), &host = session_.host, folders = session_.folders] {
        *text = attached_text(pinned_texts(attached, folders, host));
      },
      lifetime_.guard([this, id = job.id, question, text, kept] {
        if (const Job* const now = session_.jobs.find(id))
          return ask_next(*now, *text + question, kept);
        kept->error(error_code::request_failed, "the job is gone");
      }));
}

void SessionJobs::ask_next(const Job& job, const std::string& question,
                           const std::shared_ptr<Reply>& reply) {
  Request request;
  request.action = "ask";
  request.title = "Follow-up to " + job.request.title;
  const auto view = views_.find(job.id);
  ask_on(job, question, std::move(request),
         view != views_.end() ? view->second->range() : std::nullopt,
         [reply] { reply->result(nullptr); });
}

// Of one job, or of all in a batch that it may be done to. Answered before the client hears what
// came of it.
void SessionJobs::change(const Json& arguments, Reply& reply, const May& may, const char* why_not,
                         const Do& change) {
  std::vector<JobId> ids;
  bool any = false;
  for (const JobId id :
       session_.jobs.members(static_cast<JobId>(integer_member(arguments, "job")))) {
    const Job& job = *session_.jobs.find(id);
    if (!views_.contains(id) && !is_of(session_, job)) continue;
    any = true;
    if (may(job)) ids.push_back(id);
  }
  if (any && ids.empty()) return reply.error(error_code::request_failed, why_not);
  if (ids.empty()) throw InvalidParams("there is no such job of this workspace (any more)");
  reply.result(nullptr);
  for (const JobId id : ids) change(id);
}

void SessionJobs::pause(const Json& arguments, Reply& reply) {
  change(
      arguments, reply, [](const Job& job) { return runs(job.state); }, "the job does not run",
      [this](JobId id) { session_.jobs.pause(id); });
}

void SessionJobs::resume(const Json& arguments, Reply& reply) {
  change(
      arguments, reply, [this](const Job& job) { return session_.jobs.is_paused(job.id); },
      "the job is not paused", [this](JobId id) { session_.jobs.resume(id); });
}

void SessionJobs::cancel(const Json& arguments, Reply& reply) {
  change(
      arguments, reply, [](const Job& job) { return !ended(job.state); },
      "the job has ended already", [this](JobId id) { session_.jobs.cancel(id); });
}

void SessionJobs::retry(const Json& arguments, Reply& reply) {
  change(
      arguments, reply,
      [](const Job& job) {
        return job.state == JobState::failed || job.state == JobState::cancelled;
      },
      "the job has not failed", [this](JobId id) { session_.jobs.retry(id); });
}

bool SessionJobs::waits(const Job& job) {
  return job.state == JobState::waiting && job.sent.empty();
}

void SessionJobs::apply(const Json& arguments, Reply& reply) {
  change(arguments, reply, waits, "the job does not wait for you", [this](JobId id) {
    if (!views_.contains(id)) take(*session_.jobs.find(id));
    session_.jobs.apply(id);
  });
}

void SessionJobs::dismiss(const Json& arguments, Reply& reply) {
  change(arguments, reply, waits, "the job does not wait for you",
         [this](JobId id) { session_.jobs.dismiss(id); });
}

// ── Jobs of others ───────────────────────────────────────────────────────────────────────────────

void SessionJobs::adopt_soon() {
  if (adopting_ || session_.jobs.ownerless().empty()) return;
  adopting_ = session_.host.after(adopting_after, [this] {
    adopting_.reset();
    adopt();
  });
}

void SessionJobs::adopt() {
  for (const Job* const job : session_.jobs.ownerless()) {
    const std::string& editor = job->origin.editor;
    // The editor that asked for it shows it, where that is there.
    if (editor != session_.client.editor && session_.jobs.has_adopter(editor)) continue;
    if (is_of(session_, *job)) take(*job);
  }
}

void SessionJobs::take(const Job& job) {
  const JobId id = job.id;
  try {
    const std::string document = document_of(job);
    // It can only be planned with its document.
    if (!document.empty() && !session_.documents.find(document)) return;
    if (!session_.jobs.adopt(id, owner())) return;
    const std::string& editor = job.origin.editor;
    const bool own = !editor.empty() && editor == session_.client.editor;
    view(job, {std::nullopt, own, true});
    if (!job.request.has_prompt() && !ended(job.state)) plan_(job);
  } catch (const std::exception& error) {
    session_.jobs.fail(id, failure_text(error));
  }
}

Jobs::Owner SessionJobs::owner() {
  return {[this](const Job& job, std::string_view delta) { changed(job, delta); },
          [this](JobId id) {
            if (const auto view = views_.find(id); view != views_.end()) view->second->apply();
          }};
}

void SessionJobs::changed(const Job& job, std::string_view delta) {
  if (job.state == JobState::done || job.state == JobState::waiting)
    session_.token_counts->learn(bytes_of(job.request.prompt), job.progress.prompt_tokens);
  const auto view = views_.find(job.id);
  if (view != views_.end()) view->second->update(job, delta);
}

// ── Jobs of its own ──────────────────────────────────────────────────────────────────────────────

void SessionJobs::repair(const Job& job, const std::string& complaint) {
  Request request;
  request.action = job.request.action;
  request.title = job.request.title + ", second try";
  request.form = job.request.form;
  request.new_files_in = job.request.new_files_in;
  request.repairs = true;
  request.review = job.request.review;
  const auto view = views_.find(job.id);
  ask_on(job, complaint, std::move(request),
         view != views_.end() ? view->second->range() : std::nullopt, {});
}

void SessionJobs::ask_on(const Job& job, const std::string& question, Request request,
                         std::optional<Range> range, std::function<void()> begun) {
  request.options = job.request.options;
  request.targets = job.request.targets;
  request.prompt = job.request.prompt;
  request.prompt.messages.push_back({Role::assistant,
                                     {{job.text, Provenance::answer, false}},
                                     job.generated,
                                     job.request.options.asks_to_think()});
  if (!session_.jobs.speaks_in_tokens(job)) {
    for (Message& message : request.prompt.messages) message.generated.clear();
  }
  request.prompt.messages.push_back({Role::user, {{question, Provenance::instruction, false}}, {}});
  const std::string uri = request.targets.empty() ? std::string() : request.targets.front().uri;
  const Request whole = request;
  const JobId id = begin(std::move(request), uri, range);
  try {
    session_.jobs.submit(id, whole);
    show_begun(id, std::move(begun));
  } catch (...) {
    abandon(id);
    throw;
  }
}

JobId SessionJobs::begin(Request request, const std::string& uri, std::optional<Range> range) {
  using Phase = GenerationProgress::Phase;
  const bool loading = session_.model_state == ModelState::loading;
  const JobId id = session_.jobs.announce(std::move(request), origin_of(session_, uri),
                                          loading ? Phase::loading : Phase::queued, owner());
  try {
    begun_.emplace(id, range);
  } catch (...) {
    abandon(id);
    throw;
  }
  return id;
}

// Nobody else knows of the job: it would wait for ever, and tell a session that is gone.
void SessionJobs::abandon(JobId id) {
  begun_.erase(id);
  session_.jobs.disown(id);
  session_.jobs.cancel(id);
}

// Where nothing can be written, the jobs run all the same: better than none.
void SessionJobs::show_begun(JobId last, std::function<void()> first) {
  session_.jobs.when_written(
      last, lifetime_.guard([this, last, first = std::move(first)](const std::string&) {
        if (first) first();
        while (!begun_.empty() && begun_.begin()->first <= last) {
          const auto begun = begun_.extract(begun_.begin());
          const Job* const job = session_.jobs.find(begun.key());
          if (job == nullptr) continue;
          forget_settled();
          try {
            view(*job, {begun.mapped(), true});
          } catch (...) {
            abandon(begun.key());
            throw;
          }
        }
      }));
}

void SessionJobs::view(const Job& job, const JobView::Beginning& beginning) {
  const auto& batch = job.request.batch;
  if (batch && !batches_.contains(batch->id))
    batches_[batch->id] = std::make_unique<BatchView>(session_, *batch);
  auto view = std::make_unique<JobView>(
      session_, job, beginning,
      [this](const Job& broken, const std::string& complaint) { repair(broken, complaint); },
      [this](const Job& now) {
        if (now.request.batch) batches_.at(now.request.batch->id)->update();
      });
  JobView& shown = *view;
  views_[job.id] = std::move(view);
  shown.begin(job);
}

// Called before a view is added, so that what is shown stays small in a session of weeks. A
// conversation goes on from the last ones.
void SessionJobs::forget_settled() {
  constexpr std::size_t remembered = 20;
  for (auto view = views_.begin(); view != views_.end() && views_.size() > remembered;) {
    view = view->second->settled() ? views_.erase(view) : std::next(view);
  }
}

}  // namespace hearth::lsp
