// Decoding steps, repair and normalisation of UTF-8; Unicode's tables are utf8proc's.
#include "engine/support/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/support/types.hpp"

namespace hearth::engine {
namespace {

using CodePoint = utf8proc_int32_t;

// What the second byte may be after this first byte, and how many bytes there are in all.
struct Lead {
  std::size_t bytes = 0;  // 0: cannot begin a character
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
};

Lead lead(unsigned char byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};  // no overlong forms
  if (byte == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // nothing above U+10FFFF
  return {};
}

CodePoint decode(std::string_view sequence) {
  CodePoint point = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(sequence.data()),
                   static_cast<utf8proc_ssize_t>(sequence.size()), &point);
  return point;
}

utf8proc_propval_t combining_class(CodePoint point) {
  return utf8proc_get_property(point)->combining_class;
}

void append_decomposed(CodePoint point, std::vector<CodePoint>& out) {
  constexpr utf8proc_ssize_t longest = 32;  // canonical decompositions have at most 4
  CodePoint parts[longest];
  int unused = 0;
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(point, parts, longest, UTF8PROC_DECOMPOSE, &unused);
  if (count < 0 || count > longest) throw Error("a character without a decomposition");
  out.insert(out.end(), parts, parts + count);
}

// Canonical ordering: marks between two base characters, by combining class. utf8proc's own
// takes quadratic time, which one line of many marks could exploit.
void order_marks(std::vector<CodePoint>& points) {
  const auto is_base = [](CodePoint point) { return combining_class(point) == 0; };
  auto begin = points.begin();
  while (begin != points.end()) {
    begin = std::find_if_not(begin, points.end(), is_base);
    const auto end = std::find_if(begin, points.end(), is_base);
    std::ranges::stable_sort(begin, end, {}, combining_class);
    begin = end;
  }
}

void append_nfc(std::string_view run, std::string& out) {
  std::vector<CodePoint> points;
  while (!run.empty()) {
    const std::size_t bytes = first_sequence(run).bytes;
    append_decomposed(decode(run.substr(0, bytes)), points);
    run.remove_prefix(bytes);
  }
  order_marks(points);
  const utf8proc_ssize_t count =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t length =
        utf8proc_encode_char(points[static_cast<std::size_t>(i)], bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
  }
}

}  // namespace

Utf8Sequence first_sequence(std::string_view text) {
  using State = Utf8Sequence::State;
  const Lead first = lead(static_cast<unsigned char>(text[0]));
  if (first.bytes == 0) return {State::broken, 1};
  for (std::size_t i = 1; i < first.bytes; ++i) {
    if (i == text.size()) return {State::unfinished, i};
    const auto byte = static_cast<unsigned char>(text[i]);
    const unsigned char low = i == 1 ? first.low : 0x80;
    const unsigned char high = i == 1 ? first.high : 0xBF;
    if (byte < low || byte > high) return {State::broken, i};
  }
  return {State::whole, first.bytes};
}

std::size_t find_non_ascii(std::string_view text, std::size_t from) {
  constexpr std::uint64_t high_bits = 0x8080808080808080u;
  std::uint64_t word = 0;
  for (; from + sizeof word <= text.size(); from += sizeof word) {
    std::memcpy(&word, text.data() + from, sizeof word);
    if ((word & high_bits) != 0) break;
  }
  while (from < text.size() && static_cast<unsigned char>(text[from]) < 0x80) ++from;
  return std::min(from, text.size());
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t ascii_end = find_non_ascii(text, at);
    out.append(text.substr(at, ascii_end - at));
    at = ascii_end;
    if (at == text.size()) break;
    const Utf8Sequence sequence = first_sequence(text.substr(at));
    out.append(sequence.state == Utf8Sequence::State::whole ? text.substr(at, sequence.bytes)
                                                            : replacement_character);
    at += sequence.bytes;
  }
  return out;
}

std::string to_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t done = 0;
  for (;;) {
    // ASCII changes only through a mark behind it: a run of other characters is normalised
    // together with the one ASCII character before it.
    const std::size_t run = find_non_ascii(text, done);
    const std::size_t begin = run > done && run < text.size() ? run - 1 : run;
    out.append(text.substr(done, begin - done));
    if (run == text.size()) return out;
    std::size_t end = run;
    while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80) ++end;
    append_nfc(text.substr(begin, end - begin), out);
    done = end;
  }
}

}  // namespace hearth::engine
