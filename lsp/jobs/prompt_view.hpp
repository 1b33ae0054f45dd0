// A job's prompt for people: exactly what the model is shown, what each piece is and costs, and
// what of it was known.
#pragma once

#include <span>
#include <string>

#include "lsp/jobs/jobs.hpp"
#include "lsp/support/model.hpp"

namespace hearth::lsp {

// Plain text: a head, then each piece under a line that says what it is. `pieces` as
// Model::inspect() has them.
std::string prompt_text(const Job& job, std::span<const PromptPiece> pieces);

}  // namespace hearth::lsp
