// What of a conversation the context holds: where it is full, the oldest whole turns go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "daemon/models/render.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::daemon {

struct FittedPrompt {
  lsp::Prompt prompt;
  std::size_t turns_left_out = 0;  // questions with their answers, from the first on
};

// The prompt with room for an answer with these options behind it; as it is where that does not
// help, or where it is no conversation. Half of the room is freed at once, and which turns go is a
// function of the prompt alone: the prompts that follow begin alike and compute only what is new,
// until it is full again. Throws engine::Error.
FittedPrompt fit_conversation(const PromptReader& reader, const lsp::Prompt& prompt,
                              const lsp::GenerateOptions& options);
// The same with room for a prompt of so many tokens, as `count` has them.
FittedPrompt fit_conversation(const lsp::Prompt& prompt, std::int64_t room,
                              const std::function<std::int64_t(const lsp::Prompt&)>& count);

}  // namespace hearth::daemon
