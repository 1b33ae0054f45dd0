// What a person says in `hearth chat`: on a terminal with line editing and history, elsewhere plain
// lines. Knows nothing of models.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hearth::daemon {

class ChatInput {
 public:
  virtual ~ChatInput() = default;
  // The next message, without the line break at its end; lines that end with a backslash go on in
  // the next one. Empty at the end of input. `prompt` is only shown to people.
  virtual std::optional<std::string> next(const std::string& prompt) = 0;
  // For the arrow keys.
  virtual void remember(const std::string& message) = 0;
};

// Edited with libedit where stdin is a terminal: Alt-Enter breaks the line, pasted text with line
// breaks is one message, Ctrl-C drops what was begun, Ctrl-R searches `history` (the oldest first).
// The line is shown on stdout, or on stderr where stdout is no terminal. One at a time.
std::unique_ptr<ChatInput> make_chat_input(const std::vector<std::string>& history);

}  // namespace hearth::daemon
