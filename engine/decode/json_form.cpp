// One byte at a time over all ways in which the answer may be read.
#include "engine/decode/json_form.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hearth::engine {
namespace {

// Blanks in a row, of which a model could write any number: one space, or a line break with its
// indentation where writers of JSON break lines; before the whole, where a thought may have ended,
// two line breaks.
constexpr std::uint8_t no_blank = 0;
constexpr std::uint8_t one_space = 1;
constexpr std::uint8_t new_line = 2;
constexpr std::uint8_t too_many = new_line + 40;
std::uint8_t step_blanks(std::uint8_t before, unsigned char byte, int breaks) {
  if (byte == '\n') {
    if (breaks > 0 && before < new_line) return new_line;
    return breaks > 1 && before == new_line ? new_line + 1 : too_many;
  }
  if (before >= new_line)
    return static_cast<std::uint8_t>(std::min(before + 1, static_cast<int>(too_many)));
  return before == no_blank && byte == ' ' ? one_space : too_many;
}
constexpr std::size_t max_depth = 64;
constexpr std::size_t max_paths = 512;
constexpr int max_choice_depth = 16;

bool is_blank(unsigned char byte) {
  return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

bool is_digit(unsigned char byte) {
  return byte >= '0' && byte <= '9';
}

bool is_hexadecimal(unsigned char byte) {
  return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

// States inside a text. Bytes of a character that are to come: 10 to 12; behind a backslash: 1;
// hexadecimal digits that are to come: 2 to 5, and 6 where the second one keeps it no surrogate.
// 20: its end; 21: no text.
constexpr std::uint16_t text_ended = 20;
constexpr std::uint16_t no_text = 21;
std::uint16_t step_text(std::uint16_t state, unsigned char byte) {
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

// States of a number: 1 behind the sign, 2 a zero, 3 digits, 4 behind the point, 5 behind digits of
// it, 6 behind the e, 7 behind its sign, 8 its digits. 0: no number.
std::uint16_t step_number_state(std::uint16_t state, unsigned char byte, bool whole) {
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

bool is_number(std::uint16_t state) {
  return state == 2 || state == 3 || state == 5 || state == 8;
}

}  // namespace

JsonCursor::JsonCursor(std::shared_ptr<const JsonForm> form) : form_(std::move(form)) {
  paths_.push_back({{{form_->root_}}});
}

const JsonForm::Node& JsonCursor::node(const Frame& frame) const {
  return form_->nodes_[static_cast<std::size_t>(frame.node)];
}

bool JsonCursor::push(unsigned char byte) {
  next_.clear();
  for (Path& path : paths_) step(std::move(path), byte, 0);
  std::swap(paths_, next_);
  return alive();
}

bool JsonCursor::push(std::string_view bytes) {
  return std::ranges::all_of(bytes,
                             [this](char byte) { return push(static_cast<unsigned char>(byte)); });
}

// A number may go on, but need not.
bool JsonCursor::complete() const {
  return std::ranges::any_of(paths_, [](const Path& path) {
    if (path.frames.empty()) return true;
    const Frame& frame = path.frames.front();
    return path.frames.size() == 1 && frame.phase == Phase::number && is_number(frame.at);
  });
}

bool JsonCursor::ended() const {
  return alive() &&
         std::ranges::all_of(paths_, [](const Path& path) { return path.frames.empty(); });
}

bool JsonCursor::in_text() const {
  return std::ranges::any_of(paths_, [](const Path& path) {
    return !path.frames.empty() && path.frames.back().phase == Phase::text &&
           path.frames.back().at == 0;
  });
}

void JsonCursor::keep(Path path) {
  if (path.frames.size() <= max_depth && next_.size() < max_paths) next_.push_back(std::move(path));
}

// The innermost value is complete.
void JsonCursor::close(Path path) {
  path.frames.pop_back();
  keep(std::move(path));
}

void JsonCursor::step(Path path, unsigned char byte, int depth) {
  if (path.frames.empty()) return;  // nothing follows a whole value
  Frame& frame = path.frames.back();
  const bool between = frame.phase == Phase::value || frame.phase == Phase::object_first ||
                       frame.phase == Phase::object_key || frame.phase == Phase::object_next ||
                       frame.phase == Phase::array_first || frame.phase == Phase::array_next;
  if (between && is_blank(byte)) {
    // Behind it an object would have to end.
    if (frame.phase == Phase::object_next && !may_end(frame)) return;
    const std::size_t depth_now = path.frames.size();
    const bool of_member = frame.phase == Phase::value && depth_now > 1 &&
                           path.frames[depth_now - 2].phase == Phase::object_next;
    const bool at_begin = frame.phase == Phase::value && depth_now == 1;
    path.blanks = step_blanks(path.blanks, byte, of_member ? 0 : at_begin ? 2 : 1);
    if (path.blanks < too_many) keep(std::move(path));
    return;
  }
  const bool spaced = std::exchange(path.blanks, no_blank) != no_blank;
  // A comma stands where its value ends.
  const bool next = frame.phase == Phase::object_next || frame.phase == Phase::array_next;
  if (spaced && next && byte == ',') return;
  switch (frame.phase) {
    case Phase::value:
      return step_value(std::move(path), byte, depth);
    case Phase::object_first:
    case Phase::object_key:
    case Phase::object_next:
      return step_object(std::move(path), byte);
    case Phase::key:
    case Phase::any_key:
    case Phase::colon:
      return step_key(std::move(path), byte);
    case Phase::array_first:
    case Phase::array_next:
      return step_array(std::move(path), byte, depth);
    case Phase::number:
      return step_number(std::move(path), byte, depth);
    case Phase::text:
      frame.at = step_text(frame.at, byte);
      if (frame.at == text_ended) return close(std::move(path));
      if (frame.at != no_text) keep(std::move(path));
      return;
    case Phase::literal: {
      const std::string_view text = path.word != nullptr ? std::string_view(path.word)
                                                         : std::string_view(node(frame).literal);
      if (text[frame.at] != static_cast<char>(byte)) return;
      if (++frame.at < text.size()) return keep(std::move(path));
      path.word = nullptr;
      return close(std::move(path));
    }
  }
}

// Its first byte.
void JsonCursor::step_value(Path path, unsigned char byte, int depth) {
  using Kind = JsonForm::Kind;
  Frame& frame = path.frames.back();
  const JsonForm::Node& is = node(frame);
  if (is.kind == Kind::any_of) {
    if (depth >= max_choice_depth) return;
    for (const int choice : is.choices) {
      Path way = path;
      way.frames.back().node = choice;
      step_value(std::move(way), byte, depth + 1);
    }
    return;
  }
  if (is.kind == Kind::literal) {
    if (is.literal.front() != static_cast<char>(byte)) return;
    frame.phase = Phase::literal;
    frame.at = 1;
    if (is.literal.size() == 1) return close(std::move(path));
    return keep(std::move(path));
  }
  const bool any = is.kind == Kind::any;
  if (byte == '{' && (any || is.kind == Kind::object)) {
    frame.phase = Phase::object_first;
  } else if (byte == '[' && (any || is.kind == Kind::array)) {
    frame.phase = Phase::array_first;
  } else if (byte == '"' && (any || is.kind == Kind::string)) {
    frame.phase = Phase::text;
  } else if ((byte == '-' || is_digit(byte)) &&
             (any || is.kind == Kind::number || is.kind == Kind::integer)) {
    frame.phase = Phase::number;
    frame.at = byte == '-' ? 1 : byte == '0' ? 2 : 3;
  } else if (any && (byte == 't' || byte == 'f' || byte == 'n')) {
    frame.phase = Phase::literal;
    frame.at = 1;
    path.word = byte == 't' ? "true" : byte == 'f' ? "false" : "null";
  } else {
    return;
  }
  keep(std::move(path));
}

// Whether the properties from here on may all be left out.
bool JsonCursor::may_end(const Frame& frame) const {
  const auto& properties = node(frame).properties;
  return std::all_of(properties.begin() + frame.property, properties.end(),
                     [](const JsonForm::Property& property) { return !property.required; });
}

// Behind the quote of a key: each property that may be the next one.
void JsonCursor::begin_keys(const Path& path) {
  const auto& properties = node(path.frames.back()).properties;
  if (properties.empty()) {
    Path way = path;
    way.frames.back().phase = Phase::any_key;
    way.frames.back().at = 0;
    return keep(std::move(way));
  }
  for (std::size_t i = path.frames.back().property; i < properties.size(); ++i) {
    Path way = path;
    way.frames.back().phase = Phase::key;
    way.frames.back().property = static_cast<std::uint16_t>(i);
    way.frames.back().at = 1;
    keep(std::move(way));
    if (properties[i].required) return;
  }
}

void JsonCursor::step_object(Path path, unsigned char byte) {
  Frame& frame = path.frames.back();
  const auto& properties = node(frame).properties;
  if (byte == '"' && frame.phase != Phase::object_next) return begin_keys(path);
  if (byte == '}' && frame.phase != Phase::object_key && may_end(frame))
    return close(std::move(path));
  const bool more = properties.empty() || frame.property < properties.size();
  if (byte != ',' || frame.phase != Phase::object_next || !more) return;
  frame.phase = Phase::object_key;
  keep(std::move(path));
}

void JsonCursor::step_key(Path path, unsigned char byte) {
  Frame& frame = path.frames.back();
  const auto& properties = node(frame).properties;
  if (frame.phase == Phase::colon) {
    if (byte != ':') return;
    const int value = properties.empty() ? 0 : properties[frame.property].node;
    frame.phase = Phase::object_next;
    if (!properties.empty()) ++frame.property;
    path.frames.push_back({value});
    return keep(std::move(path));
  }
  if (frame.phase == Phase::any_key) {
    frame.at = step_text(frame.at, byte);
    if (frame.at == no_text) return;
    if (frame.at == text_ended) frame.phase = Phase::colon;
    return keep(std::move(path));
  }
  const std::string& key = properties[frame.property].key;
  if (key[frame.at] != static_cast<char>(byte)) return;
  if (++frame.at == key.size()) frame.phase = Phase::colon;
  keep(std::move(path));
}

void JsonCursor::step_array(Path path, unsigned char byte, int depth) {
  Frame& frame = path.frames.back();
  if (byte == ']') return close(std::move(path));
  const int element = node(frame).items;
  if (frame.phase == Phase::array_next) {
    if (byte != ',') return;
    path.frames.push_back({element});
    return keep(std::move(path));
  }
  frame.phase = Phase::array_next;
  path.frames.push_back({element});
  step(std::move(path), byte, depth);
}

// What is no part of it any more is the outer value's.
void JsonCursor::step_number(Path path, unsigned char byte, int depth) {
  Frame& frame = path.frames.back();
  const bool whole = node(frame).kind == JsonForm::Kind::integer;
  const std::uint16_t next = step_number_state(frame.at, byte, whole);
  if (next != 0) {
    frame.at = next;
    return keep(std::move(path));
  }
  if (!is_number(frame.at)) return;
  path.frames.pop_back();
  step(std::move(path), byte, depth);
}

}  // namespace hearth::engine
