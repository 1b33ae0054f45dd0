// Leaves turns out, going through the conversation as it went.
#include "daemon/models/conversation.hpp"

#include <algorithm>
#include <vector>

namespace hearth::daemon {
namespace {

// Where each turn begins: a person's message, with what the model answered.
std::vector<std::size_t> turns_of(const std::vector<lsp::Message>& messages) {
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == lsp::Role::user) begins.push_back(i);
  }
  return begins;
}

// As much as an answer wants, and a thought before it, each up to a quarter of the context.
std::int64_t room_for_answer(const PromptReader& reader, lsp::Prompt::Kind kind,
                             const lsp::GenerateOptions& options) {
  const std::int64_t quarter = reader.context / 4;
  return std::min(options.max_tokens, quarter) +
         std::min(most_thought(reader.profile, kind, options), quarter) + 1;
}

}  // namespace

FittedPrompt fit_conversation(const PromptReader& reader, const lsp::Prompt& prompt,
                              const lsp::GenerateOptions& options) {
  if (options.keep_turns) return {prompt, 0};
  return fit_conversation(prompt, reader.context - room_for_answer(reader, prompt.kind, options),
                          [&](const lsp::Prompt& part) {
                            const auto rendered = render(reader, part, options.asks_to_think());
                            return static_cast<std::int64_t>(rendered.tokens.size());
                          });
}

FittedPrompt fit_conversation(const lsp::Prompt& prompt, std::int64_t room,
                              const std::function<std::int64_t(const lsp::Prompt&)>& count) {
  const std::vector<lsp::Message>& messages = prompt.messages;
  const std::vector<std::size_t> turns = turns_of(messages);
  if (prompt.kind != lsp::Prompt::Kind::chat || turns.size() < 2) return {prompt, 0};

  // The prompt of turn `last` when those before `first` are left out.
  const auto shown = [&](std::size_t first, std::size_t last) {
    lsp::Prompt part;
    const auto begin = messages.begin();
    const auto at = [&](std::size_t turn) {
      return begin + static_cast<std::ptrdiff_t>(turns[turn]);
    };
    part.messages.assign(begin, at(0));  // the system line
    part.messages.insert(part.messages.end(), at(first), at(last) + 1);
    return part;
  };
  const std::size_t last = turns.size() - 1;
  if (count(shown(0, last)) <= room) return {prompt, 0};

  std::size_t first = 0;
  for (std::size_t turn = 1; turn <= last; ++turn) {
    if (count(shown(first, turn)) <= room) continue;
    while (first < turn && count(shown(first, turn)) > room / 2) ++first;
  }
  return {shown(first, last), first};
}

}  // namespace hearth::daemon
