// What an action is about: a place in a document, with the text that was there when the model was
// asked. Minutes pass until the answer is whole; a Target holds what is needed to find the place
// again in what has become of the document, and to merge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lsp/support/text.hpp"

namespace hearth::lsp {

// A value that can be written down (lsp/jobs/jobs.cpp). `before`, `text` and `after` adjoin in the
// document. The surroundings are whole lines: `before` begins where a line does (never with a byte
// order mark) and `after` ends with a line's ending, or with the document. Empty ones are allowed,
// but then a place that moved may not be found.
struct Target {
  std::string uri;
  std::int64_t version = 0;
  ByteRange range;
  std::string text;
  std::string before = {};
  std::string after = {};
  bool operator==(const Target&) const = default;
};

// How much is kept on either side of the range: of most files, all.
inline constexpr std::size_t max_surroundings_bytes = std::size_t{24} << 10U;

// `range` is moved into the text, behind a byte order mark.
Target target_of(const Snapshot& snapshot, ByteRange range);

}  // namespace hearth::lsp
