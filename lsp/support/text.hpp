// Document text: immutable, in UTF-8, with its line index and the one place where a client's
// positions become byte offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::lsp {

// How a client counts `character` in a position (LSP general.positionEncodings).
enum class Encoding : std::uint8_t { utf8, utf16, utf32 };

// As the wire has it: zero-based line, and character in the session's encoding.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t character = 0;
  auto operator<=>(const Position&) const = default;
};
struct Range {
  Position start;
  Position end;
  bool operator==(const Range&) const = default;
};

// An offset in bytes of UTF-8 text. Does not convert to or from the units of other encodings.
struct Byte {
  std::size_t value = 0;
  auto operator<=>(const Byte&) const = default;  // NOLINT(modernize-use-nullptr): there is none
};
struct ByteRange {
  Byte begin;
  Byte end;
  bool operator==(const ByteRange&) const = default;
};

// One change of a text: [start, old_end) became [start, new_end). Several are applied in order,
// each with the offsets of the text that it is applied to.
struct ByteEdit {
  Byte start;
  Byte old_end;
  Byte new_end;
};

// Immutable; share it freely between threads.
class Text {
 public:
  // Invalid UTF-8 is replaced by U+FFFD, so that every position has one meaning.
  explicit Text(std::string utf8);

  const std::string& str() const { return text_; }
  std::string_view view(ByteRange range) const;
  std::size_t lines() const { return starts_.size(); }  // at least 1
  std::size_t index_bytes() const { return starts_.size() * sizeof starts_[0]; }
  Byte line_start(std::size_t line) const;
  Byte line_end(std::size_t line) const;  // before its line ending
  // Where the text begins for a reader: after a byte order mark, which counts in positions only.
  Byte begin() const { return Byte{text_.starts_with("\xEF\xBB\xBF") ? std::size_t{3} : 0}; }
  // From there, or from the line's start, to the line's end.
  ByteRange line_range(std::size_t line) const;
  // The line ending of the line that `offset` is in; of the one above where it is the last one.
  std::string_view line_ending(Byte offset) const;
  // The ending that all lines share; empty where they differ or there is only one line.
  std::string_view common_line_ending() const;
  std::size_t line_of(Byte offset) const;
  // A line past the end means the end of the text; a character past the end of its line (line
  // ending excluded) or inside a sequence is clamped.
  Byte offset(Position position, Encoding encoding) const;
  Position position(Byte offset, Encoding encoding) const;
  ByteRange bytes(const Range& range, Encoding encoding) const;
  Range range(ByteRange bytes, Encoding encoding) const;
  // The text with `range` replaced; costs a copy and the lines that changed.
  Text edited(ByteRange range, std::string_view replacement) const;

 private:
  Text() = default;

  std::string text_;
  std::vector<std::uint32_t> starts_;  // of lines; no text is larger than 4 GiB
};

// One version of one document. Immutable.
struct Snapshot {
  std::string uri;
  std::string language_id;  // as the client named it
  std::int64_t version = 0;
  std::shared_ptr<const Text> text;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

bool is_valid_utf8(std::string_view bytes);
// The bytes with every invalid sequence replaced by U+FFFD.
std::string valid_utf8(std::string bytes);

// XXH3, for "is this still the text that I saw?".
std::uint64_t content_hash(std::string_view text);

}  // namespace hearth::lsp
