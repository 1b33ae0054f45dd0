// Splitting, numbering and finding lines.
#include "lsp/edits/code_lines.hpp"

#include <algorithm>

#include "lsp/document/indentation.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {

CodeLines code_lines(std::string_view text) {
  CodeLines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(line_ends), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
    if (!text.empty()) text.remove_prefix(text.starts_with("\r\n") ? 2 : 1);
  }
  return lines;
}

std::string_view trimmed_right(std::string_view line) {
  return line.substr(0, line.find_last_not_of(blanks) + 1);  // npos + 1 is 0
}

bool has_word(std::string_view line) {
  return std::ranges::any_of(line, is_word_byte);
}

std::string_view common_indentation(std::span<const std::string_view> lines) {
  std::string_view common;
  bool first = true;
  for (const std::string_view line : lines) {
    if (is_blank(line)) continue;
    const std::string_view here = indentation(line);
    if (first) {
      common = here;
    } else {
      const auto same = std::ranges::mismatch(common, here).in1;
      common = common.substr(0, static_cast<std::size_t>(same - common.begin()));
    }
    first = false;
  }
  return common;
}

std::uint32_t LineNumbers::operator[](std::string_view line) {
  return numbers_.try_emplace(line, static_cast<std::uint32_t>(numbers_.size())).first->second;
}

std::optional<std::uint32_t> LineNumbers::find(std::string_view line) const {
  const auto found = numbers_.find(line);
  return found == numbers_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::uint32_t> LineNumbers::of(std::span<const std::string_view> lines) {
  std::vector<std::uint32_t> numbers;
  numbers.reserve(lines.size());
  for (const std::string_view line : lines) {
    numbers.push_back((*this)[trimmed_right(line)]);
  }
  return numbers;
}

std::vector<std::size_t> occurrences(std::span<const std::uint32_t> wanted,
                                     std::span<const std::uint32_t> all, std::size_t limit) {
  // Knuth, Morris and Pratt: border[i] is the length of the longest proper prefix of `wanted` that
  // also ends its first i + 1 elements.
  std::vector<std::size_t> border(wanted.size(), 0);
  for (std::size_t i = 1, length = 0; i < wanted.size(); ++i) {
    while (length > 0 && wanted[i] != wanted[length]) length = border[length - 1];
    if (wanted[i] == wanted[length]) ++length;
    border[i] = length;
  }
  std::vector<std::size_t> found;
  for (std::size_t i = 0, length = 0; i < all.size() && found.size() < limit; ++i) {
    while (length > 0 && all[i] != wanted[length]) length = border[length - 1];
    if (all[i] == wanted[length]) ++length;
    if (length < wanted.size()) continue;
    found.push_back(i + 1 - length);
    length = border[length - 1];
  }
  return found;
}

}  // namespace hearth::lsp
