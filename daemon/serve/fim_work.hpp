// A completion in the middle of code, for a client of HTTP: fitted to what the completing model
// reads, and answered.
#pragma once

#include <memory>

#include "daemon/serve/answering.hpp"
#include "daemon/serve/completion_request.hpp"

namespace hearth::daemon {

class FimWork : public HttpWork {
 public:
  // What it is given outlives it.
  FimWork(lsp::Host& host, lsp::Model& model, std::shared_ptr<HttpReply> reply,
          CompletionRequest request, std::shared_ptr<AnswerFormat> format);

 private:
  void begin(const lsp::ModelProfile& profile);

  lsp::Host& host_;
  lsp::Model& model_;
  const std::shared_ptr<HttpReply> reply_;
  CompletionRequest request_;
  std::shared_ptr<AnswerFormat> format_;
  std::unique_ptr<Answering> answering_;
  lsp::Lifetime lifetime_;
};

}  // namespace hearth::daemon
