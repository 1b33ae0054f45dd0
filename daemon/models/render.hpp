// From the language server's Prompt to the tokens of this model, with the places worth coming back
// to. The only code that sees both sides.
#pragma once

#include "engine/engine.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::daemon {

// The part of a model that prompts are rendered by: its weights may be on another machine. A view,
// of what outlives it.
struct PromptReader {
  PromptReader(const engine::Tokenizer& its_tokenizer, const engine::Profile& its_profile,
               const engine::GenerationDefaults& its_defaults, std::int64_t its_context)
      : tokenizer(its_tokenizer),
        profile(its_profile),
        defaults(its_defaults),
        context(its_context) {}
  PromptReader(const engine::Engine& engine)  // NOLINT(google-explicit-constructor): is one
      : PromptReader(engine.tokenizer(), engine.profile(), engine.defaults(), engine.context()) {}

  const engine::Tokenizer& tokenizer;
  const engine::Profile& profile;
  const engine::GenerationDefaults& defaults;
  std::int64_t context;  // prompt and answer together
};

// `thinking`: as lsp::GenerateOptions::asks_to_think() has it. Throws engine::Error.
engine::TokenPrompt render(const PromptReader& reader, const lsp::Prompt& prompt,
                           std::optional<bool> thinking = {});
// Most tokens of a thought before an answer to this kind of prompt; 0: none comes.
std::int64_t most_thought(const engine::Profile& profile, lsp::Prompt::Kind kind,
                          const lsp::GenerateOptions& options);

// The same prompt for people: a piece for each segment, and for the template between them. Throws
// engine::Error.
std::vector<lsp::PromptPiece> inspect(const PromptReader& reader, const lsp::Prompt& prompt,
                                      std::optional<bool> thinking);

// With the stop ids of the prompt's kind.
engine::GenerationRequest make_request(const PromptReader& reader, const lsp::Prompt& prompt,
                                       const lsp::GenerateOptions& options);

// Of a generation that came to its end.
lsp::FinishReason finish_reason(engine::StopReason reason);

lsp::ModelDescription describe(const PromptReader& reader);

}  // namespace hearth::daemon
