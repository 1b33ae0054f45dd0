// What a session says about the model: loading, ready or failed, as hearth/status; and, once, why
// it failed, to everyone.
#pragma once

#include "lsp/extension.hpp"
#include "lsp/lifetime.hpp"
#include "lsp/session.hpp"

namespace hearth::lsp {

class ModelStatus {
 public:
  // Registers its method and asks for the model. The session outlives it.
  explicit ModelStatus(Session& session);

 private:
  void described(const Result<ModelDescription>& description);
  void notify();
  extension::Status status() const;

  Session& session_;
  extension::Status model_;  // its part about the model
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
