// Lines of code as this room compares them: views without line endings, and numbers for equal ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lsp/support/text.hpp"

namespace hearth::lsp {

using CodeLines = std::vector<std::string_view>;

// Lines end with "\n", "\r\n" or "\r". What follows the last ending is a line unless it is empty.
CodeLines code_lines(std::string_view text);
std::string_view trimmed_right(std::string_view line);
// Whether a line says something: brackets, blanks and the like are found anywhere.
bool has_word(std::string_view line);
// What the non-blank lines begin with in common: blanks and tabs.
std::string_view common_indentation(std::span<const std::string_view> lines);

// Equal lines get equal numbers, from 0 on. The lines that it is given must outlive it.
class LineNumbers {
 public:
  std::uint32_t operator[](std::string_view line);
  std::optional<std::uint32_t> find(std::string_view line) const;  // empty: not given yet
  // The numbers of `lines` without the blanks at their ends.
  std::vector<std::uint32_t> of(std::span<const std::string_view> lines);

 private:
  struct Hash {
    std::size_t operator()(std::string_view line) const { return content_hash(line); }
  };
  std::unordered_map<std::string_view, std::uint32_t, Hash> numbers_;
};

// Where `wanted` (not empty) is in `all`, in order, overlapping ones too, at most `limit`. Linear.
std::vector<std::size_t> occurrences(std::span<const std::uint32_t> wanted,
                                     std::span<const std::uint32_t> all, std::size_t limit);

}  // namespace hearth::lsp
