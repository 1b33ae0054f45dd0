// How much of a text's end must wait because it may be the beginning of something awaited.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace hearth::engine {

// The length of the longest end of `text` that begins `awaited` without being all of it.
inline std::size_t partial_match_length(std::string_view text, std::string_view awaited) {
  if (awaited.empty()) return 0;
  for (std::size_t length = std::min(text.size(), awaited.size() - 1); length > 0; --length) {
    if (awaited.starts_with(text.substr(text.size() - length))) return length;
  }
  return 0;
}

}  // namespace hearth::engine
