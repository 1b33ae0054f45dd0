// What may follow inside a text, a number and between values of JSON: small machines that take a
// byte at a time. Private to the forms.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace hearth::engine {

// Blanks in a row, of which a model could write any number: one space, or a line break with its
// indentation where writers of JSON break lines; before the whole, where a thought may have ended,
// two line breaks.
inline constexpr std::uint8_t no_blank = 0;
inline constexpr std::uint8_t one_space = 1;
inline constexpr std::uint8_t new_line = 2;
inline constexpr std::uint8_t too_many = new_line + 40;
inline std::uint8_t step_blanks(std::uint8_t before, unsigned char byte, int breaks) {
  if (byte == '\n') {
    if (breaks > 0 && before < new_line) return new_line;
    return breaks > 1 && before == new_line ? new_line + 1 : too_many;
  }
  if (before >= new_line)
    return static_cast<std::uint8_t>(std::min(before + 1, static_cast<int>(too_many)));
  return before == no_blank && byte == ' ' ? one_space : too_many;
}

inline bool is_blank(unsigned char byte) {
  return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

inline bool is_digit(unsigned char byte) {
  return byte >= '0' && byte <= '9';
}

inline bool is_hexadecimal(unsigned char byte) {
  return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

// States inside a text. Bytes of a character that are to come: 10 to 12; behind a backslash: 1;
// hexadecimal digits that are to come: 2 to 5, and 6 where the second one keeps it no surrogate.
// 20: its end; 21: no text.
inline constexpr std::uint16_t text_ended = 20;
inline constexpr std::uint16_t no_text = 21;
inline std::uint16_t step_text(std::uint16_t state, unsigned char byte) {
  if (state == 0) {
    if (byte == '"') return text_ended;
    if (byte == '\\') return 1;
    if (byte < 0x20) return no_text;
    if (byte < 0x80) return 0;
    if (byte >= 0xC2 && byte <= 0xDF) return 10;
    if (byte == 0xE0) return 13;  // no shorter form
    if (byte == 0xED) return 14;  // no surrogate
    if (byte >= 0xE1 && byte <= 0xEF) return 11;
    if (byte == 0xF0) return 15;
    if (byte == 0xF4) return 16;  // no more than U+10FFFF
    if (byte >= 0xF1 && byte <= 0xF3) return 12;
    return no_text;
  }
  if (state == 1) {
    if (byte == 'u') return 5;
    return std::strchr("\"\\/bfnrt", byte) != nullptr && byte != 0 ? 0 : no_text;
  }
  if (state == 6) return is_digit(byte) && byte < '8' ? 3 : no_text;
  if (state >= 2 && state <= 5) {
    if (!is_hexadecimal(byte)) return no_text;
    if (state == 5 && (byte == 'd' || byte == 'D')) return 6;
    return state == 2 ? 0 : static_cast<std::uint16_t>(state - 1);
  }
  const auto within = [byte](unsigned char from, unsigned char to) {
    return byte >= from && byte <= to;
  };
  switch (state) {
    case 10:
      return within(0x80, 0xBF) ? 0 : no_text;
    case 11:
      return within(0x80, 0xBF) ? 10 : no_text;
    case 12:
      return within(0x80, 0xBF) ? 11 : no_text;
    case 13:
      return within(0xA0, 0xBF) ? 10 : no_text;
    case 14:
      return within(0x80, 0x9F) ? 10 : no_text;
    case 15:
      return within(0x90, 0xBF) ? 11 : no_text;
    case 16:
      return within(0x80, 0x8F) ? 11 : no_text;
    default:
      return no_text;
  }
}

// States inside a free text: bytes of its end that are there, or in a character of several bytes
// this more than step_text has.
inline constexpr std::uint16_t inside_character = 100;

// States of a number: 1 behind the sign, 2 a zero, 3 digits, 4 behind the point, 5 behind digits of
// it, 6 behind the e, 7 behind its sign, 8 its digits. 0: no number.
inline std::uint16_t step_number_state(std::uint16_t state, unsigned char byte, bool whole) {
  switch (state) {
    case 1:
      return byte == '0' ? 2 : is_digit(byte) ? 3 : 0;
    case 2:
    case 3:
      if (state == 3 && is_digit(byte)) return 3;
      if (!whole && byte == '.') return 4;
      return !whole && (byte == 'e' || byte == 'E') ? 6 : 0;
    case 4:
      return is_digit(byte) ? 5 : 0;
    case 5:
      if (is_digit(byte)) return 5;
      return byte == 'e' || byte == 'E' ? 6 : 0;
    case 6:
      if (byte == '+' || byte == '-') return 7;
      return is_digit(byte) ? 8 : 0;
    case 7:
    case 8:
      return is_digit(byte) ? 8 : 0;
    default:
      return 0;
  }
}

inline bool is_number(std::uint16_t state) {
  return state == 2 || state == 3 || state == 5 || state == 8;
}

}  // namespace hearth::engine
