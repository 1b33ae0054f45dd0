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

// Immutable; share it freely between threads.
class Text {
 public:
  // Invalid UTF-8 is replaced by U+FFFD, so that every position has one meaning.
  explicit Text(std::string utf8);

  const std::string& str() const { return text_; }
  std::string_view view(ByteRange range) const;
  std::size_t lines() const { return starts_.size(); }  // at least 1
  Byte line_start(std::size_t line) const;
  Byte line_end(std::size_t line) const;  // before its line ending
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
  std::vector<std::size_t> starts_;
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

// FNV-1a, for "is this still the text that I saw?".
std::uint64_t content_hash(std::string_view text);

}  // namespace hearth::lsp
