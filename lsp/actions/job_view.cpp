// What a job's changes send to its client.
#include "lsp/actions/job_view.hpp"

#include <algorithm>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/edits.hpp"
#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {
namespace {

constexpr std::chrono::milliseconds report_interval{250};

}  // namespace

JobView::JobView(Session& session, const Job& job, Range range)
    : session_(session),
      job_(job.id),
      range_(range),
      state_(job.state),
      progress_(session, job.id),
      report_(session.host, report_interval, [this] { report(); }) {
  if (!session.client.has(extension::feature_jobs)) answer_.emplace(session, job.id);
  report_.run();
}

void JobView::update(const Job& job, std::string_view delta) {
  // The text first: the end of progress says that it is there.
  if (answer_ && ended(job.state)) answer_->finish(job);
  if (job.state == state_) {
    report_.request();
  } else {
    state_ = job.state;
    report_.run();
  }
  if (answer_ && !delta.empty()) answer_->update();
  if (!answer_ && !delta.empty()) {
    session_.rpc.notify(extension::TextDelta::method,
                        extension::TextDelta{job.id, std::string(delta)});
  }
  if (job.state == JobState::done) {
    apply_edits(session_, job.request.title, effect_of(job, session_.documents).edits);
  }
  if (job.state == JobState::failed) {
    session_.rpc.notify("window/showMessage", {{"type", message_type::error},
                                               {"message", job.request.title + ": " + job.error}});
  }
}

void JobView::close() {
  const Job* job = session_.jobs.find(job_);
  if (answer_ && job != nullptr && !ended(job->state)) answer_->close(*job);
}

void JobView::report() {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr) return;
  progress_.report(*job);
  if (answer_) return;
  extension::JobStateParams state = job_state_params(*job, range_);
  state.percentage = percentage_ = std::max(percentage_, state.percentage);
  if (state.text) state.text = effect_of(*job, session_.documents).markdown;
  session_.rpc.notify(extension::JobStateParams::method, state);
}

}  // namespace hearth::lsp
