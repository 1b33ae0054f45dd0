// From the language server's Prompt to the tokens of this model, with the places worth coming back
// to. The only code that sees both sides.
#pragma once

#include "engine/engine.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::daemon {

// Throws engine::Error.
engine::TokenPrompt render(const engine::Engine& engine, const lsp::Prompt& prompt);

// The same prompt for people: a piece for each segment, and for the template between them. Throws
// engine::Error.
std::vector<lsp::PromptPiece> inspect(const engine::Engine& engine, const lsp::Prompt& prompt);

// With the stop ids of the prompt's kind.
engine::GenerationRequest make_request(const engine::Engine& engine, const lsp::Prompt& prompt,
                                       const lsp::GenerateOptions& options);

// Of a generation that came to its end.
lsp::FinishReason finish_reason(engine::StopReason reason);

lsp::ModelDescription describe(const engine::Engine& engine);

}  // namespace hearth::daemon
