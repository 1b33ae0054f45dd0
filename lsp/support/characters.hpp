// White space, lines and words in UTF-8 text, byte by byte: what several rooms have to agree on.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string_view>

namespace hearth::lsp {

inline constexpr std::string_view blanks = " \t\r\n\f\v";
inline constexpr std::string_view line_ends = "\r\n";

inline bool is_blank(std::string_view text) {
  return text.find_first_not_of(blanks) == std::string_view::npos;
}

// Without the blanks at both ends.
inline std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  return text.substr(0, text.find_last_not_of(blanks) + 1);  // npos + 1 is 0
}

// Whether a byte may belong to a word of code: every byte beyond ASCII may. Which characters beyond
// ASCII are letters is another question (lsp/completion/text.cpp).
inline bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || c == '_' || byte >= 0x80;
}

// Where the character of UTF-8 that `offset` is in begins; the text's end for what is beyond it.
inline std::size_t character_start(std::string_view text, std::size_t offset) {
  if (offset >= text.size()) return text.size();
  while (offset > 0 && (static_cast<unsigned char>(text[offset]) & 0xC0U) == 0x80U) --offset;
  return offset;
}

}  // namespace hearth::lsp
