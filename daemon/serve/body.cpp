// Members with their bounds.
#include "daemon/serve/body.hpp"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {

using nlohmann::json;

json read_body(std::string text) {
  if (text.empty()) return json::object();
  json body;
  try {
    body = lsp::parse_json(std::move(text));
  } catch (const lsp::BadJson& bad) {
    throw ApiError(400, std::string("the body is no JSON that can be read: ") + bad.what(), {},
                   "invalid_json");
  }
  if (!body.is_object()) throw ApiError(400, "the body is no JSON object", {}, "invalid_json");
  return body;
}

ApiError bad_member(const std::string& name, const std::string& what) {
  return {400, "\"" + name + "\" " + what, name, "invalid_value"};
}

ApiError cannot_serve(const std::string& name, const std::string& why) {
  return {400, "\"" + name + "\" cannot be served here: " + why, name, "unsupported_parameter"};
}

std::optional<std::string> text_member(const json& body, const char* name,
                                       const std::string& path) {
  const json* value = lsp::find(body, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) throw bad_member(path + name, "is no text");
  return value->get<std::string>();
}

std::optional<bool> flag_member(const json& body, const char* name, const std::string& path) {
  const json* value = lsp::find(body, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) throw bad_member(path + name, "is neither true nor false");
  return value->get<bool>();
}

std::optional<std::int64_t> integer_member(const json& body, const char* name, std::int64_t min,
                                           std::int64_t max) {
  const json* value = lsp::find(body, name);
  if (value == nullptr) return std::nullopt;
  const auto refused = [&] {
    return bad_member(name, fmt::format("is no whole number from {} to {}", min, max));
  };
  std::int64_t read = 0;
  if (value->is_number_unsigned()) {
    const auto given = value->get<std::uint64_t>();
    if (given > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      throw refused();
    read = static_cast<std::int64_t>(given);
  } else if (value->is_number_integer()) {
    read = value->get<std::int64_t>();
  } else {
    throw refused();
  }
  if (read < min || read > max) throw refused();
  return read;
}

std::optional<double> number_member(const json& body, const char* name, double min, double max) {
  const json* value = lsp::find(body, name);
  if (value == nullptr) return std::nullopt;
  const double read = value->is_number() ? value->get<double>() : min - 1;
  if (!(read >= min && read <= max))
    throw bad_member(name, fmt::format("is no number from {} to {}", min, max));
  return read;
}

std::vector<std::int32_t> tokens_of(const json& list, const std::string& name) {
  std::vector<std::int32_t> tokens;
  for (const json& token : list) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
    if (!token.is_number_unsigned() || token.get<std::uint64_t>() > most)
      throw bad_member(name, "has what is no token's number");
    tokens.push_back(token.get<std::int32_t>());
  }
  return tokens;
}

}  // namespace hearth::daemon
