// One byte at a time over all ways in which the answer may be read.
#include "engine/decode/json_form.hpp"

#include <algorithm>
#include <utility>

#include "engine/decode/json_states.hpp"

namespace hearth::engine {
namespace {

constexpr std::size_t max_depth = 64;
constexpr std::size_t max_paths = 512;
constexpr int max_choice_depth = 16;

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

bool JsonCursor::in_free_text() const {
  return std::ranges::any_of(paths_, [](const Path& path) {
    return !path.frames.empty() && path.frames.back().phase == Phase::free_text &&
           path.frames.back().at == 0;
  });
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
  const bool exact = frame.phase == Phase::value && node(frame).exact;
  if (between && is_blank(byte) && !exact) {
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
    case Phase::sequence:
      return step_sequence(path, byte, depth);
    case Phase::free_text:
      return step_free_text(std::move(path), byte);
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
  if (is.kind == Kind::sequence) return step_sequence(path, byte, depth);
  if (is.kind == Kind::free_text) {
    frame.phase = Phase::free_text;
    return step_free_text(std::move(path), byte);
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

// The byte begins the next part, or one behind those that need not be there. The last one takes the
// sequence's place.
void JsonCursor::step_sequence(const Path& path, unsigned char byte, int depth) {
  const auto& parts = node(path.frames.back()).properties;
  for (std::size_t i = path.frames.back().property; i < parts.size(); ++i) {
    Path way = path;
    way.frames.back().phase = Phase::sequence;
    way.frames.back().property = static_cast<std::uint16_t>(i + 1);
    if (i + 1 == parts.size()) way.frames.pop_back();
    way.frames.push_back({parts[i].node});
    step(std::move(way), byte, depth);
    if (parts[i].required) return;
  }
}

void JsonCursor::step_free_text(Path path, unsigned char byte) {
  Frame& frame = path.frames.back();
  const bool inside = frame.at >= inside_character;
  if (inside || byte >= 0x80) {
    const auto state = static_cast<std::uint16_t>(inside ? frame.at - inside_character : 0);
    const std::uint16_t next = step_text(state, byte);
    if (next == no_text) return;
    frame.at = next == 0 ? next : static_cast<std::uint16_t>(inside_character + next);
    return keep(std::move(path));
  }
  const std::string& end = node(frame).literal;
  const auto next = static_cast<char>(byte);
  if (end[frame.at] == next)
    ++frame.at;
  else
    frame.at = next == end.front() ? 1 : 0;
  if (frame.at == end.size()) return close(std::move(path));
  keep(std::move(path));
}

}  // namespace hearth::engine
