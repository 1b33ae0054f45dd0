// Line index and position arithmetic over valid UTF-8.
#include "lsp/support/text.hpp"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace hearth::lsp {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

// Length of the sequence that a first byte of valid UTF-8 announces.
std::size_t sequence_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  if (byte < 0x80) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

// What a sequence of `length` bytes of UTF-8 counts in the client's encoding.
std::size_t units(std::size_t length, Encoding encoding) {
  switch (encoding) {
    case Encoding::utf8:
      return length;
    case Encoding::utf16:
      return length == 4 ? 2 : 1;
    case Encoding::utf32:
      return 1;
  }
  return length;
}

struct Sequence {
  bool valid;
  std::size_t length;  // of an invalid one: what is replaced together
};

// The sequence at the start of `bytes` (not empty), by the Unicode standard's table 3-7.
Sequence read_sequence(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return {true, 1};
  if (first < 0xC2 || first > 0xF4) return {false, 1};
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;  // no surrogates
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;  // nothing past U+10FFFF
  const std::size_t wanted = sequence_length(bytes[0]);
  for (std::size_t i = 1; i < wanted; ++i) {
    if (i == bytes.size() || at(i) < low || at(i) > high) return {false, i};
    low = 0x80;
    high = 0xBF;
  }
  return {true, wanted};
}

std::size_t valid_prefix(std::string_view bytes) {
  std::size_t good = 0;
  while (good < bytes.size()) {
    if (static_cast<unsigned char>(bytes[good]) < 0x80) {
      ++good;
      continue;
    }
    const Sequence sequence = read_sequence(bytes.substr(good));
    if (!sequence.valid) break;
    good += sequence.length;
  }
  return good;
}

bool ends_line(std::string_view text, std::size_t at) {
  return text[at] == '\n' || (text[at] == '\r' && (at + 1 == text.size() || text[at + 1] != '\n'));
}

// Appends the starts of the lines that begin in (begin, end] of `text`.
void index_lines(std::string_view text, std::size_t begin, std::size_t end,
                 std::vector<std::uint32_t>& starts) {
  for (std::size_t i = begin; i < end; ++i) {
    if (ends_line(text, i)) starts.push_back(static_cast<std::uint32_t>(i + 1));
  }
}

// So that the index of a large text is not copied as it grows.
std::size_t count_line_ends(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) count += ends_line(text, i) ? 1 : 0;
  return count;
}

}  // namespace

bool is_valid_utf8(std::string_view bytes) {
  return valid_prefix(bytes) == bytes.size();
}

std::string valid_utf8(std::string bytes) {
  const std::size_t good = valid_prefix(bytes);
  if (good == bytes.size()) return bytes;
  std::string text = bytes.substr(0, good);
  for (std::string_view rest = std::string_view(bytes).substr(good); !rest.empty();) {
    const Sequence sequence = read_sequence(rest);
    text += sequence.valid ? rest.substr(0, sequence.length) : replacement_character;
    rest.remove_prefix(sequence.length);
  }
  return text;
}

Text::Text(std::string utf8) : text_(valid_utf8(std::move(utf8))) {
  starts_.reserve(count_line_ends(text_) + 1);
  starts_.push_back(0);
  index_lines(text_, 0, text_.size(), starts_);
}

std::string_view Text::view(ByteRange range) const {
  const std::size_t begin = std::min(range.begin.value, text_.size());
  const std::size_t end = std::clamp(range.end.value, begin, text_.size());
  return std::string_view(text_).substr(begin, end - begin);
}

Byte Text::line_start(std::size_t line) const {
  return Byte{line < starts_.size() ? starts_[line] : text_.size()};
}

Byte Text::line_end(std::size_t line) const {
  if (line + 1 >= starts_.size()) return Byte{text_.size()};
  std::size_t end = starts_[line + 1] - 1;
  if (text_[end] == '\n' && end > starts_[line] && text_[end - 1] == '\r') --end;
  return Byte{end};
}

ByteRange Text::line_range(std::size_t line) const {
  return {std::max(line_start(line), begin()), line_end(line)};
}

std::string_view Text::line_ending(Byte offset) const {
  std::size_t line = line_of(offset);
  if (line + 1 == starts_.size() && line > 0) --line;
  return view({line_end(line), line_start(line + 1)});
}

std::string_view Text::common_line_ending() const {
  const std::string_view first = line_ending(Byte{0});
  for (std::size_t line = 1; line + 1 < starts_.size(); ++line) {
    if (line_ending(line_start(line)) != first) return {};
  }
  return first;
}

std::size_t Text::line_of(Byte offset) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset.value);
  return static_cast<std::size_t>(after - starts_.begin()) - 1;
}

Byte Text::offset(Position position, Encoding encoding) const {
  if (position.line >= starts_.size()) return Byte{text_.size()};
  std::size_t at = line_start(position.line).value;
  const std::size_t end = line_end(position.line).value;
  std::size_t left = position.character;
  while (at < end) {
    const std::size_t length = sequence_length(text_[at]);
    const std::size_t width = units(length, encoding);
    if (left < width) break;  // also: inside this sequence
    left -= width;
    at += length;
  }
  return Byte{at};
}

Position Text::position(Byte offset, Encoding encoding) const {
  std::size_t target = std::min(offset.value, text_.size());
  const std::size_t line = line_of(Byte{target});
  target = std::min(target, line_end(line).value);
  std::size_t character = 0;
  std::size_t at = starts_[line];
  while (at < target) {
    const std::size_t length = sequence_length(text_[at]);
    if (at + length > target) break;
    character += units(length, encoding);
    at += length;
  }
  return {static_cast<std::uint32_t>(line), static_cast<std::uint32_t>(character)};
}

ByteRange Text::bytes(const Range& range, Encoding encoding) const {
  const Byte start = offset(range.start, encoding);
  const Byte end = offset(range.end, encoding);
  return {std::min(start, end), std::max(start, end)};
}

Range Text::range(ByteRange bytes, Encoding encoding) const {
  return {position(bytes.begin, encoding), position(bytes.end, encoding)};
}

Text Text::edited(ByteRange range, std::string_view replacement) const {
  const auto boundary = [&](std::size_t at) {
    at = std::min(at, text_.size());
    while (at > 0 && at < text_.size() && is_continuation(text_[at])) --at;
    return at;
  };
  const std::size_t begin = boundary(range.begin.value);
  const std::size_t end = std::max(begin, boundary(range.end.value));
  const std::string inserted = valid_utf8(std::string(replacement));

  Text after;
  after.text_.reserve(text_.size() - (end - begin) + inserted.size());
  after.text_.append(text_, 0, begin).append(inserted).append(text_, end);

  // A \r before the edit and a \n after it may join or part: the lines that touch the edit's two
  // ends are looked at anew, the others are kept or moved.
  const std::size_t first = line_of(Byte{begin > 0 ? begin - 1 : 0});
  const auto kept = starts_.begin() + static_cast<std::ptrdiff_t>(first) + 1;
  const auto moved = std::upper_bound(kept, starts_.end(), end + 1);
  after.starts_.reserve(starts_.size() + 1);
  after.starts_.assign(starts_.begin(), kept);
  const std::size_t scanned =
      moved == starts_.end() ? after.text_.size() : *moved - end + begin + inserted.size() - 1;
  index_lines(after.text_, starts_[first], scanned, after.starts_);
  for (auto start = moved; start != starts_.end(); ++start) {
    after.starts_.push_back(static_cast<std::uint32_t>(*start - end + begin + inserted.size()));
  }
  return after;
}

std::uint64_t content_hash(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace hearth::lsp
