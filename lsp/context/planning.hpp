// From a place in a document to a prompt that fits: ask what the model was trained to read, plan on
// another thread, count tokens, fit. Waits as long as the model loads.
#pragma once

#include <functional>
#include <memory>

#include "lsp/context/context.hpp"
#include "lsp/context/token_counts.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace hearth::lsp {

struct Planned {
  ContextPlan plan;
  Prompt prompt;
  std::vector<ContextPiece> left_out = {};  // of the prompt
};

// `plan` runs on another thread. `done` is called once, unless Host or Model go first; a plan that
// is refused is an error with its reason.
void make_prompt(Host& host, Model& model, std::shared_ptr<TokenCounts> counts,
                 std::function<ContextPlan(const ModelProfile&)> plan, Callback<Planned> done);

}  // namespace hearth::lsp
