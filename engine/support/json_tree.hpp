// JSON from files that nobody vouches for: every failure becomes an Error that names the file and
// the field. Private to the engine's readers of checkpoint files.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/support/types.hpp"

namespace hearth::engine {

constexpr std::uint64_t max_json_bytes = 100'000'000;

// Throws Error for text that is no JSON, is nested deeper than 64 levels or has a key twice in one
// object.
nlohmann::json parse_json(std::string_view text, const std::string& name);

// A value as in the file, cut short: for error messages.
std::string shown(const nlohmann::json& value);

// One object's fields, read with checks. Refers to the object; its name is "config.json" or
// "config.json: rope_parameters". A null counts as absent.
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string name);

  const nlohmann::json* find(const std::string& key) const;
  std::int64_t integer(const std::string& key, std::int64_t min, std::int64_t max) const;
  std::int64_t integer(const std::string& key, std::int64_t min, std::int64_t max,
                       std::int64_t when_absent) const;
  double number(const std::string& key, double min, double max) const;
  double number(const std::string& key, double min, double max, double when_absent) const;
  bool flag(const std::string& key, bool when_absent) const;
  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& when_absent) const;
  // The field as an array; nullptr when absent.
  const nlohmann::json* array(const std::string& key) const;
  // The field as an object; nullptr when absent.
  const nlohmann::json* object(const std::string& key) const;

  const std::string& name() const { return name_; }
  // "config.json: head_dim is 0; expected …"
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

 private:
  const nlohmann::json& require(const std::string& key) const;

  const nlohmann::json& object_;
  std::string name_;
};

}  // namespace hearth::engine
