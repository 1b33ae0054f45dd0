// The model's state as clients see it.
#include "lsp/jobs/model_status.hpp"

#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"

namespace hearth::lsp {

ModelStatus::ModelStatus(Session& session) : session_(session) {
  model_.version = session.options.version;
  session.rpc.on_request(std::string(extension::Status::method),
                         [this](const Json&, Reply& reply) { reply.result(status()); });
  notify();
  loading_.emplace(session, [this](const LoadingProgress& progress) { loads(progress); });
  session.model.describe(lifetime_.guard(
      [this](const Result<ModelDescription>& description) { described(description); }));
}

void ModelStatus::loads(const LoadingProgress& progress) {
  const auto eta = progress.eta ? std::optional(progress.eta->count()) : std::nullopt;
  if (model_.model_percentage == progress.percentage && model_.model_eta_ms == eta) return;
  model_.model_percentage = progress.percentage;
  model_.model_eta_ms = eta;
  notify();
}

void ModelStatus::described(const Result<ModelDescription>& description) {
  if (const auto* error = std::get_if<ModelError>(&description)) {
    session_.model_state = ModelState::failed;
    model_.model_state = ModelState::failed;
    model_.model_error = valid_utf8(error->message);
    loading_->end("failed");
    session_.rpc.notify("window/showMessage", {{"type", message_type::error},
                                               {"message", "hearth: " + *model_.model_error}});
  } else {
    loading_->end("ready");
    session_.model_state = ModelState::ready;
    model_.model_state = ModelState::ready;
    model_.model_name = valid_utf8(std::get<ModelDescription>(description).profile.name);
  }
  loading_.reset();
  model_.model_percentage.reset();
  model_.model_eta_ms.reset();
  notify();
}

void ModelStatus::notify() {
  if (!session_.client.has(extension::feature_status)) return;
  session_.rpc.notify(extension::Status::method, status());
}

extension::Status ModelStatus::status() const {
  extension::Status status = model_;
  for (const std::string& notice : session_.options.notices)
    status.notices.push_back(valid_utf8(notice));
  for (const std::string& machine : session_.options.sent_to)
    status.sent_to.push_back(valid_utf8(machine));
  for (const Job* job : session_.jobs.all()) {
    if (!is_of(session_, *job)) continue;
    status.jobs.push_back(job_state_params(*job, std::nullopt));
    status.jobs.back().text.reset();
  }
  return status;
}

}  // namespace hearth::lsp
