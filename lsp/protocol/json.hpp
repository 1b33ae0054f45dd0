// Reading what a client sent, member by member, with errors that name the member; and the LSP types
// that many messages share.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "lsp/support/text.hpp"

namespace hearth::lsp {

using Json = nlohmann::json;

// A message's params are not what its method takes. Answered with -32602 by the dispatcher.
class InvalidParams : public std::runtime_error {
 public:
  // A sentence that names members and quotes no value: it may be logged.
  explicit InvalidParams(const std::string& fault) : InvalidParams(fault, fault) {}
  // One with a value in it, for the client that sent it, and one without for the log.
  InvalidParams(const std::string& fault, const std::string& without_value)
      : std::runtime_error(fault), without_value_(without_value) {}
  const char* without_value() const { return without_value_.what(); }

 private:
  std::runtime_error without_value_;  // a string that copies without throwing
};

// A request that nothing is wrong with cannot be served. Answered with RequestFailed and the reason
// or, where the person knows it already, with null.
class CannotServe : public std::runtime_error {
 public:
  CannotServe(const std::string& reason, bool is_known)
      : std::runtime_error(reason), known(is_known) {}
  bool known;
};

// Absent and null are the same: null pointer. Also where `object` is no object.
const Json* find(const Json& object, const char* name);
// The value at the end of a path of members, for client capabilities.
const Json* find_path(const Json& object, std::initializer_list<const char*> path);
bool flag(const Json& object, std::initializer_list<const char*> path);  // false unless true

// These throw InvalidParams.
const Json& member(const Json& object, const char* name);
std::string string_member(const Json& object, const char* name);
std::int64_t integer_member(const Json& object, const char* name);
const Json& array_member(const Json& object, const char* name);
Position position_member(const Json& object, const char* name);
Range range_member(const Json& object, const char* name);
std::string document_uri(const Json& params);  // params.textDocument.uri

// An enumeration as its name: `names` in the order of the enumerators, from 0.
template <typename Enum, std::size_t count>
std::string_view enum_name(const std::array<std::string_view, count>& names, Enum value) {
  return names[static_cast<std::size_t>(value)];
}
template <typename Enum, std::size_t count>
Enum enum_member(const std::array<std::string_view, count>& names, const Json& object,
                 const char* name) {
  const std::string text = string_member(object, name);
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) {
    const std::string fault = "\"" + std::string(name) + "\" has the unknown value";
    throw InvalidParams(fault + " \"" + text + "\"", fault);
  }
  return static_cast<Enum>(found - names.begin());
}

void to_json(Json& json, const Position& position);
void from_json(const Json& json, Position& position);  // a number too large means the last one
void to_json(Json& json, const Range& range);
void from_json(const Json& json, Range& range);

}  // namespace hearth::lsp
