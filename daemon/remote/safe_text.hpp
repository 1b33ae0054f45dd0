// Text of documents in prompts that a server takes as text: what a model's vocabulary may have as a
// special token ("<|im_start|>", "<think>") is broken up, so that a file cannot speak for anybody.
#pragma once

#include <string>
#include <string_view>

namespace hearth::daemon {

// With a zero-width space behind the first character of whatever may be such a token.
std::string broken_up(std::string_view text);

// An answer, piece by piece, with what broken_up() added taken out again where the model repeats
// it.
class JoinedText {
 public:
  std::string push(std::string_view text);
  std::string finish();  // what was held back as it could have become such a space

 private:
  std::string held_;
};

}  // namespace hearth::daemon
