// create → begin → report* → end, once for each job.
#include "lsp/jobs/progress.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view token_prefix = "hearth-job-";

// Of itself, or when a person goes on with it.
bool goes_on(const Job& job) {
  return runs(job.state) || job.state == JobState::paused;
}

std::string token_of(JobId job) {
  return std::string(token_prefix) + std::to_string(job);
}

}  // namespace

WorkProgress::WorkProgress(Session& session, JobId job) : session_(session), job_(job) {
  if (const Job* now = session.jobs.find(job); now != nullptr && !goes_on(*now)) {
    state_ = State::ended;
    return;
  }
  if (!session.client.work_done_progress) {
    state_ = State::refused;
    tell_begun();
    return;
  }
  session.rpc.request("window/workDoneProgress/create", {{"token", token_of(job)}},
                      lifetime_.guard([this](const std::variant<Json, RpcError>& answer) {
                        if (std::holds_alternative<RpcError>(answer)) {
                          state_ = State::refused;
                          tell_begun();
                          return;
                        }
                        state_ = State::created;
                        const Job* now = session_.jobs.find(job_);
                        if (now != nullptr && goes_on(*now)) report(*now);
                      }));
}

JobId WorkProgress::job_of(const Json& token) {
  if (!token.is_string()) return 0;
  const auto text = token.get<std::string>();
  if (!text.starts_with(token_prefix)) return 0;
  JobId job = 0;
  std::from_chars(text.data() + token_prefix.size(), text.data() + text.size(), job);
  return job;
}

void WorkProgress::report(const Job& job) {
  if (state_ == State::created && goes_on(job)) {
    state_ = State::begun;
    percentage_ = percentage_of(job);
    message_ = message_of(job);
    send({{"kind", "begin"},
          {"title", job.request.title},
          {"cancellable", true},
          {"message", message_},
          {"percentage", percentage_}});
  } else if (state_ == State::begun) {
    advance(job);
  }
}

void WorkProgress::advance(const Job& job) {
  if (!goes_on(job)) {
    state_ = State::ended;
    send({{"kind", "end"}, {"message", message_of(job)}});
    return;
  }
  const std::int64_t percentage = std::max(percentage_, percentage_of(job));
  std::string message = message_of(job);
  if (percentage == percentage_ && message == message_) return;
  percentage_ = percentage;
  message_ = std::move(message);
  send({{"kind", "report"}, {"message", message_}, {"percentage", percentage_}});
}

void WorkProgress::tell_begun() {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr || !goes_on(*job) || session_.client.has(extension::feature_jobs)) return;
  if (session_.model_state == ModelState::failed) return;  // which is what it will say at once
  session_.rpc.notify("window/showMessage",
                      {{"type", message_type::info},
                       {"message", job->request.title + ": " + message_of(*job) +
                                       " (`hearth jobs` shows how far it is)"}});
}

void WorkProgress::send(Json value) {
  session_.rpc.notify("$/progress", {{"token", token_of(job_)}, {"value", std::move(value)}});
}

}  // namespace hearth::lsp
