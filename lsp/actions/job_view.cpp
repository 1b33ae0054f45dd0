// What a job's changes send to its client.
#include "lsp/actions/job_view.hpp"

#include <algorithm>
#include <utility>

#include "lsp/actions/actions.hpp"
#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {
namespace {

constexpr std::chrono::milliseconds report_interval{250};
// An end that was sent may not have reached a person yet: where their editor goes within this time,
// the next one shows it again.
constexpr std::chrono::milliseconds seen_after{2'000};

}  // namespace

JobView::JobView(Session& session, const Job& job, Beginning beginning, Delivery::Repair repair,
                 std::function<void(const Job&)> shown)
    : session_(session),
      job_(job.id),
      beginning_(beginning),
      shown_(std::move(shown)),
      extended_(session.client.has(extension::feature_jobs)),
      report_(session.host, report_interval, [this] { report(); }),
      delivery_(session, job.id, beginning.own && !job.request.review, std::move(repair),
                [this](const Job& now) { show(now, {}); }) {
  if (job.request.batch) return;
  progress_.emplace(session, job.id, [this]() -> std::optional<Standing> {
    const Job* const now = session_.jobs.find(job_);
    return now != nullptr ? std::optional(standing_of(*now)) : std::nullopt;
  });
  if (!extended_) answer_.emplace(session, job.id);
}

JobView::~JobView() {
  if (seen_) session_.host.cancel_timer(*seen_);
}

void JobView::begin(const Job& job) {
  if (!runs(job.state) && job.state != JobState::paused) return update(job, {});
  state_ = job.state;
  whole_text_ = beginning_.adopted || !job.text.empty();
  report_.run();
  if (answer_ && whole_text_) answer_->update();
}

void JobView::update(const Job& job, std::string_view delta) {
  // The end is shown when it is known what became of the edits.
  if (job.state == JobState::waiting) return delivery_.begin();
  show(job, delta);
}

void JobView::show(const Job& job, std::string_view delta) {
  const bool over = ended(job.state) || job.state == JobState::waiting;
  const bool lost = job.text.size() < std::exchange(text_, job.text.size());  // it begins again
  whole_text_ |= lost;
  // The text first: the end of progress says that it is there.
  if (answer_ && over) answer_->finish(job);
  if (job.state == state_ && !lost) {
    report_.request();
  } else {
    state_ = job.state;
    report_.run();
  }
  if (answer_ && (lost || !delta.empty())) answer_->update();
  if (extended_ && !delta.empty()) {
    session_.rpc.notify(extension::TextDelta::method,
                        extension::TextDelta{job.id, std::string(delta)});
  }
  if (job.state == JobState::failed && !job.request.batch) {
    session_.rpc.notify("window/showMessage", {{"type", message_type::error},
                                               {"message", job.request.title + ": " + job.error}});
  }
  if (ended(job.state)) see_soon();
  shown_(job);
}

void JobView::see_soon() {
  if (seen_) return;
  seen_ = session_.host.after(seen_after, [this] {
    seen_.reset();
    session_.jobs.shown(job_);
  });
}

void JobView::close() {
  const Job* job = session_.jobs.find(job_);
  if (answer_ && job != nullptr && !ended(job->state)) answer_->close(*job);
}

void JobView::report() {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr) return;
  if (progress_) progress_->report();
  if (!extended_) return;
  extension::JobStateParams state = job_state_params(*job, beginning_.range);
  state.percentage = percentage_ = std::max(percentage_, state.percentage);
  const bool whole = std::exchange(whole_text_, false);
  if (whole || state.text) state.text = readable(*job, session_.documents);
  if (session_.client.has(extension::feature_thoughts)) report_thought(*job, state, whole);
  session_.rpc.notify(extension::JobStateParams::method, state);
}

// What was added to it; all of it where the client has none, or one that was given up.
void JobView::report_thought(const Job& job, extension::JobStateParams& state, bool whole) {
  const std::size_t sent = std::exchange(thought_, job.thought.size());
  if (whole || sent > thought_) {
    state.thought = job.thought;
  } else if (sent < thought_) {
    session_.rpc.notify(extension::ThoughtDelta::method,
                        extension::ThoughtDelta{job.id, job.thought.substr(sent)});
  }
}

}  // namespace hearth::lsp
