// Edits of text, as values: what an answer becomes and an editor is sent. Nothing here changes a
// document.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/support/text.hpp"

namespace hearth::lsp {

struct TextEdit {
  ByteRange range;
  std::string text;  // in its place
  bool operator==(const TextEdit&) const = default;
};
// All ranges are of that version's text, and do not overlap.
struct FileEdit {
  std::string uri;
  std::int64_t version = 0;
  std::vector<TextEdit> edits;
  bool creates = false;  // the file, which is not there: its one edit is all of its text
  bool operator==(const FileEdit&) const = default;
};

// `text` with the edits made, which are in its order and do not overlap.
std::string edited(std::string_view text, std::span<const TextEdit> edits);

}  // namespace hearth::lsp
