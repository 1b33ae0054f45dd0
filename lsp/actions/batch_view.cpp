// What becomes of a batch's jobs, added up.
#include "lsp/actions/batch_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lsp/actions/actions.hpp"
#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view make_them = "Make the changes";
constexpr std::string_view drop_them = "Drop them";

// Nothing happens to it until a person says something, and they can see why.
bool is_over(const Job& job) {
  return ended(job.state) || (job.state == JobState::waiting && !job.offer.empty());
}

}  // namespace

BatchView::BatchView(Session& session, Batch batch)
    : session_(session),
      batch_(std::move(batch)),
      progress_(session, batch_.id, [this] { return std::optional(standing()); }) {
  goes_on_ = standing().goes_on;
}

std::vector<const Job*> BatchView::jobs() const {
  std::vector<const Job*> jobs;
  for (const JobId id : session_.jobs.members(batch_.id)) jobs.push_back(session_.jobs.find(id));
  return jobs;
}

Standing BatchView::standing() const {
  Standing now{batch_.title, {}, 0, false};
  std::int64_t over = 0;
  bool paused = false;
  std::optional<std::chrono::milliseconds> eta;
  for (const Job* const job : jobs()) {
    if (job->state == JobState::paused) {
      paused = true;
    } else if (is_over(*job)) {
      ++over;
    } else {
      now.goes_on = true;
    }
    if (job->progress.eta) eta = std::max(eta.value_or(*job->progress.eta), *job->progress.eta);
  }
  now.message = fmt::format("{} of {} files", over, batch_.size);
  if (!now.goes_on && paused) now.message += ", paused";
  now.goes_on = now.goes_on || paused;
  if (now.goes_on && eta) now.message += ", " + about(*eta) + " left";
  now.percentage = batch_.size > 0 ? 100 * over / batch_.size : 0;
  return now;
}

void BatchView::update() {
  progress_.report();
  const bool went_on = std::exchange(goes_on_, standing().goes_on);
  if (went_on && !goes_on_ && !session_.client.has(extension::feature_jobs)) show_all(jobs());
}

void BatchView::show_all(const std::vector<const Job*>& jobs) {
  std::string text = "# " + batch_.title + "\n";
  std::size_t waiting = 0;
  for (const Job* const job : jobs) {
    if (job->state == JobState::cancelled) continue;
    if (job->state == JobState::waiting) ++waiting;
    const std::string read = readable(*job, session_.documents).value_or(std::string());
    text += fmt::format("\n## {}\n\n{}\n", job->request.title,
                        job->state == JobState::failed ? "Failed: " + job->error : read);
  }
  std::string uri;
  try {
    uri = session_.host.write_answer(fmt::format("batch-{}.md", batch_.id), text);
  } catch (const std::exception& error) {
    session_.rpc.notify("window/showMessage",
                        {{"type", message_type::error},
                         {"message", batch_.title + ": the changes cannot be written to a file: " +
                                         valid_utf8(failure_text(error))}});
    return;
  }
  if (session_.client.show_document) {
    session_.rpc.request("window/showDocument",
                         {{"uri", uri}, {"external", false}, {"takeFocus", false}},
                         [](const auto&) {});
  } else {
    session_.rpc.notify("window/showMessage",
                        {{"type", message_type::info},
                         {"message", batch_.title + ": the changes are in " + readable_uri(uri)}});
  }
  if (waiting > 0) ask_person(waiting, jobs.size());
}

void BatchView::ask_person(std::size_t waiting, std::size_t files) {
  const std::string ready = fmt::format("{}: {} of {} files have a change that waits for you",
                                        batch_.title, waiting, files);
  if (!session_.client.asks_person) {
    session_.rpc.notify(
        "window/showMessage",
        {{"type", message_type::info},
         {"message", fmt::format("{}: `hearth jobs apply {}` makes them", ready, batch_.id)}});
    return;
  }
  session_.rpc.request("window/showMessageRequest",
                       {{"type", message_type::info},
                        {"message", ready + "."},
                        {"actions", {{{"title", make_them}}, {{"title", drop_them}}}}},
                       lifetime_.guard([this](const std::variant<Json, RpcError>& answer) {
                         const Json* chosen = std::get_if<Json>(&answer);
                         const Json* title = chosen != nullptr ? find(*chosen, "title") : nullptr;
                         if (title == nullptr) return;
                         for (const JobId id : session_.jobs.members(batch_.id)) {
                           if (*title == make_them) session_.jobs.apply(id);
                           if (*title == drop_them) session_.jobs.dismiss(id);
                         }
                       }));
}

}  // namespace hearth::lsp
