// The end of the node, or of the block by its indentation.
#include "lsp/completion/closing.hpp"

#include <algorithm>
#include <optional>

#include "lsp/completion/lines.hpp"
#include "lsp/document/indentation.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

bool opens_bracket(std::string_view code) {
  const auto count = [&](std::string_view brackets) {
    return std::ranges::count_if(
        code, [&](char c) { return brackets.find(c) != std::string_view::npos; });
  };
  return count("([{") > count(")]}");
}

// What closes a block on a line of its own: brackets, or a word that does.
bool closes_block(std::string_view line) {
  const std::string_view code = trimmed(line);
  return code.find_first_not_of(")]};,") == code.npos || code == "end" || code == "done" ||
         code == "fi";
}

// Up to the first line that stands further left than the one that the cursor is on; with it, where
// it does nothing but close.
std::string_view until_further_left(std::string_view text, std::string_view before) {
  const std::string_view line = line_before(before);
  std::size_t at = text.find('\n');
  std::string_view first = is_blank(line) ? text.substr(0, at) : line;
  const std::size_t width = indentation_width(is_blank(line) ? line : indentation(line)) +
                            (is_blank(line) ? indentation_width(indentation(first)) : 0);
  while (at != text.npos) {
    const std::string_view next = line_after(text.substr(at + 1));
    if (!is_blank(next) && indentation_width(indentation(next)) < width) {
      return text.substr(0, closes_block(next) ? at + 1 + next.size() : at);
    }
    at = text.find('\n', at + 1);
  }
  return text;
}

}  // namespace

std::string_view until_closed(std::string_view text, const SyntaxTree* with, Byte cursor,
                              std::string_view before) {
  const Byte behind{cursor.value + text.size()};
  const auto end = with != nullptr ? with->end_around({cursor, behind}) : std::nullopt;
  if (!end) return until_further_left(text, before);
  if (*end <= cursor || *end >= behind) return text;
  const std::size_t size = end->value - cursor.value;
  const std::string_view rest = line_after(text.substr(size));
  return text.substr(0, opens_bracket(rest) ? size : size + rest.size());
}

}  // namespace hearth::lsp
