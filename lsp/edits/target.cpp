// Takes the lines around a range.
#include "lsp/edits/target.hpp"

#include <algorithm>

namespace hearth::lsp {

Target target_of(const Snapshot& snapshot, ByteRange range) {
  const Text& text = *snapshot.text;
  const std::size_t size = text.str().size();
  range.begin = std::clamp(range.begin, text.begin(), Byte{size});
  range.end = std::clamp(range.end, range.begin, Byte{size});

  std::size_t first = text.line_of(range.begin);
  const auto start = [&](std::size_t line) { return text.line_range(line).begin; };
  while (first > 0 && range.begin.value - start(first - 1).value <= max_surroundings_bytes) --first;
  std::size_t end = text.line_of(range.end) + 1;
  while (end < text.lines() &&
         text.line_start(end + 1).value - range.end.value <= max_surroundings_bytes) {
    ++end;
  }
  return {snapshot.uri,
          snapshot.version,
          range,
          std::string(text.view(range)),
          std::string(text.view({start(first), range.begin})),
          std::string(text.view({range.end, text.line_start(end)}))};
}

}  // namespace hearth::lsp
