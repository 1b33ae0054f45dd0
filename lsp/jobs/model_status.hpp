// What a session says about the model: loading and how far, ready or failed, as hearth/status, with
// the process's notices; that it loads and, once, why it failed, to everyone.
#pragma once

#include <optional>

#include "lsp/jobs/loading_view.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class ModelStatus {
 public:
  // Registers its method and asks for the model. The session outlives it.
  explicit ModelStatus(Session& session);
  void notify();  // the session's options have other notices

 private:
  void loads(const LoadingProgress& progress);
  void described(const Result<ModelDescription>& description);
  extension::Status status() const;

  Session& session_;
  extension::Status model_;             // its part about the model
  std::optional<LoadingView> loading_;  // until the model is there
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
