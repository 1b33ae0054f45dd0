// create → begin → report* → end, once for each job or batch.
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

std::string token_of(JobId id) {
  return std::string(token_prefix) + std::to_string(id);
}

}  // namespace

Standing standing_of(const Job& job) {
  return {job.request.title, message_of(job), percentage_of(job),
          runs(job.state) || job.state == JobState::paused};
}

WorkProgress::WorkProgress(Session& session, JobId id,
                           std::function<std::optional<Standing>()> look)
    : session_(session), id_(id), look_(std::move(look)) {
  const auto now = look_();
  if (!now || !now->goes_on) {
    state_ = State::ended;
    return;
  }
  if (!session.client.work_done_progress) {
    state_ = State::refused;
    tell_begun();
    return;
  }
  session.rpc.request("window/workDoneProgress/create", {{"token", token_of(id)}},
                      lifetime_.guard([this](const std::variant<Json, RpcError>& answer) {
                        if (std::holds_alternative<RpcError>(answer)) {
                          state_ = State::refused;
                          tell_begun();
                          return;
                        }
                        state_ = State::created;
                        report();
                      }));
}

JobId WorkProgress::id_of(const Json& token) {
  if (!token.is_string()) return 0;
  const auto text = token.get<std::string>();
  if (!text.starts_with(token_prefix)) return 0;
  JobId job = 0;
  std::from_chars(text.data() + token_prefix.size(), text.data() + text.size(), job);
  return job;
}

void WorkProgress::report() {
  const auto now = look_();
  if (!now) return;
  if (state_ == State::created && now->goes_on) {
    state_ = State::begun;
    percentage_ = now->percentage;
    message_ = now->message;
    send({{"kind", "begin"},
          {"title", now->title},
          {"cancellable", true},
          {"message", message_},
          {"percentage", percentage_}});
  } else if (state_ == State::begun) {
    advance(*now);
  }
}

void WorkProgress::advance(const Standing& now) {
  if (!now.goes_on) {
    state_ = State::ended;
    send({{"kind", "end"}, {"message", now.message}});
    return;
  }
  const std::int64_t percentage = std::max(percentage_, now.percentage);
  if (percentage == percentage_ && now.message == message_) return;
  percentage_ = percentage;
  message_ = now.message;
  send({{"kind", "report"}, {"message", message_}, {"percentage", percentage_}});
}

void WorkProgress::tell_begun() {
  const auto now = look_();
  if (!now || !now->goes_on || session_.client.has(extension::feature_jobs)) return;
  if (session_.model_state == ModelState::failed) return;  // which is what it will say at once
  session_.rpc.notify(
      "window/showMessage",
      {{"type", message_type::info},
       {"message", now->title + ": " + now->message + " (`hearth jobs` shows how far it is)"}});
}

void WorkProgress::send(Json value) {
  session_.rpc.notify("$/progress", {{"token", token_of(id_)}, {"value", std::move(value)}});
}

}  // namespace hearth::lsp
