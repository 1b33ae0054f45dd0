// The model's state as clients see it.
#include "lsp/model_status.hpp"

#include "lsp/job_text.hpp"

namespace hearth::lsp {

ModelStatus::ModelStatus(Session& session) : session_(session) {
  model_.version = session.options.version;
  model_.model_state = "loading";
  session.rpc.on_request(std::string(extension::Status::method),
                         [this](const Json&, Reply& reply) { reply.result(status()); });
  notify();
  session.model.describe(lifetime_.guard(
      [this](const Result<ModelDescription>& description) { described(description); }));
}

void ModelStatus::described(const Result<ModelDescription>& description) {
  if (const auto* error = std::get_if<ModelError>(&description)) {
    model_.model_state = "failed";
    model_.model_error = valid_utf8(error->message);
    session_.rpc.notify("window/showMessage",
                        {{"type", 1}, {"message", "hearth: " + *model_.model_error}});
  } else {
    session_.model_ready = true;
    model_.model_state = "ready";
    model_.model_name = valid_utf8(std::get<ModelDescription>(description).profile.name);
  }
  notify();
}

void ModelStatus::notify() {
  if (!session_.client.has(extension::feature_status)) return;
  session_.rpc.notify(extension::Status::method, status());
}

extension::Status ModelStatus::status() const {
  extension::Status status = model_;
  for (const Job* job : session_.jobs.all()) {
    status.jobs.push_back(job_state(*job, std::nullopt));
    status.jobs.back().text.reset();
  }
  return status;
}

}  // namespace hearth::lsp
