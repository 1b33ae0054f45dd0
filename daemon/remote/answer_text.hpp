// An answer's text as a server streams it, with the thought apart that may stand before it in tags,
// and without the invisible characters that prompts have.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "daemon/remote/safe_text.hpp"
#include "engine/engine.hpp"

namespace hearth::daemon {

class AnswerText {
 public:
  struct Parts {
    std::string thought;
    std::string text;
  };

  // `may_think`: what begins with <think> is a thought; else all is text.
  explicit AnswerText(bool may_think) : may_think_(may_think) {}

  Parts push(std::string_view text);
  Parts finish();

 private:
  Parts split(std::string text);

  bool may_think_;
  JoinedText joined_;
  std::string opening_;                           // may become the tag
  std::optional<engine::ThinkingFilter> filter_;  // once it is known what begins
};

}  // namespace hearth::daemon
