// What a job's changes send to its client.
#include "lsp/actions/job_view.hpp"

#include <algorithm>
#include <utility>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/edits.hpp"
#include "lsp/actions/patch.hpp"
#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {
namespace {

constexpr std::chrono::milliseconds report_interval{250};

}  // namespace

JobView::JobView(Session& session, const Job& job, Range range, Repair repair)
    : session_(session),
      job_(job.id),
      range_(range),
      repair_(std::move(repair)),
      state_(job.state),
      progress_(session, job.id),
      report_(session.host, report_interval, [this] { report(); }) {
  if (!session.client.has(extension::feature_jobs)) answer_.emplace(session, job.id);
  report_.run();
}

void JobView::update(const Job& job, std::string_view delta) {
  if (job.state == JobState::done) {
    // The end is shown when it is known what became of the edits.
    auto edits = effect_of(job, session_.documents).edits;
    if (!edits.empty()) return deliver(std::move(edits));
  }
  show(job, delta);
}

void JobView::show(const Job& job, std::string_view delta) {
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
  if (job.state == JobState::failed) {
    session_.rpc.notify("window/showMessage", {{"type", message_type::error},
                                               {"message", job.request.title + ": " + job.error}});
  }
}

void JobView::deliver(std::vector<FileEdit> edits) {
  check_edits(session_, edits, lifetime_.guard([this, edits](const std::string& complaint) {
    checked(edits, complaint);
  }));
}

void JobView::checked(const std::vector<FileEdit>& edits, const std::string& complaint) {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr) return;
  // What a person typed while it was checked is merged as well, and checked again.
  const Effect now = effect_of(*job, session_.documents);
  if (now.edits.empty()) return show(*job, {});
  if (now.edits != edits) return deliver(now.edits);
  if (!complaint.empty()) {
    if (!job->request.repairs) {
      session_.jobs.settle(job_, {});
      show(*job, {});
      repair_(*job, complaint);
      return;
    }
    return offer(edits, "the file would not parse any more");
  }
  if (!takes_edits(session_.client))
    return offer(edits, "this editor takes no edits for a certain version of a file");
  apply_edits(session_, job->request.title, edits,
              lifetime_.guard([this, edits](const std::string& failure) {
                if (!failure.empty()) offer(edits, failure);
              }));
  job = session_.jobs.find(job_);
  if (job == nullptr || job->settled) return;
  session_.jobs.settle(job_, {now.markdown});
  show(*job, {});
}

void JobView::offer(const std::vector<FileEdit>& edits, const std::string& why_not) {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr) return;
  session_.jobs.settle(job_, {"Nothing was changed: " + why_not + ". This is the change:\n\n" +
                              diff_markdown(session_, edits)});
  if (!answer_) {
    session_.rpc.notify("window/showMessage",
                        {{"type", message_type::warning},
                         {"message", job->request.title + ": nothing was changed: " + why_not}});
  }
  show(*job, {});
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
