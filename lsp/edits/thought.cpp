// A thought before an answer: between tags, or up to a closing tag where the opening one was part
// of the prompt.
#include <array>

#include "lsp/edits/answer.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {

Checked<std::string_view> without_thought(std::string_view answer, std::string_view code) {
  constexpr std::array<std::string_view, 3> names{"think", "thinking", "reasoning"};
  const std::string_view begun = trimmed(answer);
  for (const std::string_view name : names) {
    const std::string opening = "<" + std::string(name) + ">";
    const std::string closing = "</" + std::string(name) + ">";
    const bool opened = begun.starts_with(opening);
    const bool in_code = code.find(closing) != code.npos;
    if (!opened && in_code) continue;
    const std::size_t end = in_code ? answer.find(closing) : answer.rfind(closing);
    if (end != answer.npos) return answer.substr(end + closing.size());
    if (opened) {
      return Refusal{Refusal::Kind::unfinished, "the model's thought did not end"};
    }
  }
  return answer;
}

}  // namespace hearth::lsp
