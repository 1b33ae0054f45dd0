// The profile first, then the prompt.
#include "daemon/serve/fim_work.hpp"

#include <utility>
#include <variant>

namespace hearth::daemon {

FimWork::FimWork(lsp::Host& host, lsp::Model& model, std::shared_ptr<HttpReply> reply,
                 CompletionRequest request, std::shared_ptr<AnswerFormat> format)
    : host_(host),
      model_(model),
      reply_(std::move(reply)),
      request_(std::move(request)),
      format_(std::move(format)) {
  model_.describe(lifetime_.guard([this](const lsp::Result<lsp::ModelDescription>& result) {
    if (const auto* error = std::get_if<lsp::ModelError>(&result))
      return reply_->send(answer(api_error(*error)));
    begin(std::get<lsp::ModelDescription>(result).profile);
  }));
}

void FimWork::begin(const lsp::ModelProfile& profile) {
  fit_fim(request_.answer.prompt, {profile.fim_prefix_tokens, profile.fim_suffix_tokens});
  answering_ = std::make_unique<Answering>(host_, Answerers{model_, nullptr}, reply_,
                                           std::move(request_.answer), std::move(format_));
}

}  // namespace hearth::daemon
