// Members of client messages, checked.
#include "lsp/protocol/json.hpp"

#include <cmath>
#include <limits>

namespace hearth::lsp {
namespace {

std::string quoted(const char* name) {
  return std::string("\"").append(name).append("\"");
}

// Some clients write whole numbers as 3.0 or mean "the end" by a number beyond 32 bits.
std::uint32_t coordinate(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number()) throw InvalidParams(quoted(name) + " is not a number");
  const double number = value.get<double>();
  if (!(number >= 0) || std::floor(number) != number) {
    throw InvalidParams(quoted(name) + " is not a whole number from 0 on");
  }
  constexpr auto largest = std::numeric_limits<std::uint32_t>::max();
  return number > largest ? largest : static_cast<std::uint32_t>(number);
}

}  // namespace

const Json* find(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json* find_path(const Json& object, std::initializer_list<const char*> path) {
  const Json* at = &object;
  for (const char* name : path) {
    at = find(*at, name);
    if (at == nullptr) return nullptr;
  }
  return at;
}

bool flag(const Json& object, std::initializer_list<const char*> path) {
  const Json* value = find_path(object, path);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

const Json& member(const Json& object, const char* name) {
  const Json* value = find(object, name);
  if (value == nullptr) throw InvalidParams(quoted(name) + " is missing");
  return *value;
}

std::string string_member(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_string()) throw InvalidParams(quoted(name) + " is not a string");
  return value.get<std::string>();
}

std::int64_t integer_member(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_number_integer()) return value.get<std::int64_t>();
  const double number = value.is_number_float() ? value.get<double>() : 0.5;
  if (std::floor(number) != number || std::abs(number) > 9e15) {
    throw InvalidParams(quoted(name) + " is not an integer");
  }
  return static_cast<std::int64_t>(number);
}

const Json& array_member(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_array()) throw InvalidParams(quoted(name) + " is not an array");
  return value;
}

Position position_member(const Json& object, const char* name) {
  return member(object, name).get<Position>();
}

Range range_member(const Json& object, const char* name) {
  return member(object, name).get<Range>();
}

std::string document_uri(const Json& params) {
  return string_member(member(params, "textDocument"), "uri");
}

void to_json(Json& json, const Position& position) {
  json = {{"line", position.line}, {"character", position.character}};
}

void from_json(const Json& json, Position& position) {
  position = {coordinate(json, "line"), coordinate(json, "character")};
}

void to_json(Json& json, const Range& range) {
  json = {{"start", range.start}, {"end", range.end}};
}

void from_json(const Json& json, Range& range) {
  range = {position_member(json, "start"), position_member(json, "end")};
}

}  // namespace hearth::lsp
