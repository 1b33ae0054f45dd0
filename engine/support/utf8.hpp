// UTF-8 as the tokenizer needs it: where a sequence ends, repair of broken text, and NFC.
// Private to the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::engine {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD

// The first sequence of a text that is not empty.
struct Utf8Sequence {
  enum class State : std::uint8_t {
    whole,       // a character
    broken,      // bytes that one U+FFFD replaces
    unfinished,  // the text ends inside what may become a character
  };
  State state = State::whole;
  std::size_t bytes = 1;
};
Utf8Sequence first_sequence(std::string_view text);

// The position of the first byte ≥ 0x80, from `from` on; text.size() without one.
std::size_t find_non_ascii(std::string_view text, std::size_t from);

// Each broken or unfinished sequence becomes one U+FFFD.
std::string repair_utf8(std::string_view text);

// Normalization form C of valid UTF-8, in O(n log n) for any text.
std::string to_nfc(std::string_view text);

}  // namespace hearth::engine
