// From the language server's Prompt to the tokens of this model, with the places worth coming back
// to. The only code that sees both sides.
#pragma once

#include "engine/engine.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::daemon {

// `thinking`: as lsp::GenerateOptions::asks_to_think() has it. Throws engine::Error.
engine::TokenPrompt render(const engine::Engine& engine, const lsp::Prompt& prompt,
                           std::optional<bool> thinking = {});
// Most tokens of a thought before an answer to this kind of prompt; 0: none comes.
std::int64_t most_thought(const engine::Profile& profile, lsp::Prompt::Kind kind,
                          const lsp::GenerateOptions& options);

// The same prompt for people: a piece for each segment, and for the template between them. Throws
// engine::Error.
std::vector<lsp::PromptPiece> inspect(const engine::Engine& engine, const lsp::Prompt& prompt,
                                      std::optional<bool> thinking);

// With the stop ids of the prompt's kind. `profile`: in place of the engine's own.
engine::GenerationRequest make_request(const engine::Engine& engine, const lsp::Prompt& prompt,
                                       const lsp::GenerateOptions& options);
engine::GenerationRequest make_request(const engine::Engine& engine, const engine::Profile& profile,
                                       const lsp::Prompt& prompt,
                                       const lsp::GenerateOptions& options);

// Of a generation that came to its end.
lsp::FinishReason finish_reason(engine::StopReason reason);

lsp::ModelDescription describe(const engine::Engine& engine);

}  // namespace hearth::daemon
