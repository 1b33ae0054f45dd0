// Checked reading of JSON; see json_tree.hpp. Knows no file's meaning.
#include "engine/support/json_tree.hpp"

#include <cmath>
#include <optional>
#include <sstream>
#include <vector>

namespace hearth::engine {
namespace {

constexpr std::size_t max_depth = 64;

// Builds the document while watching what nlohmann's own builder lets pass: depth and keys that
// stand twice in an object.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(nlohmann::json& document) : document_(document) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(nlohmann::json::object()); }
  bool start_array(std::size_t) override { return open(nlohmann::json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& key) override {
    const auto [slot, fresh] = open_.back()->get_ref<nlohmann::json::object_t&>().try_emplace(key);
    if (!fresh) return fail("the key \"" + key + "\" is twice in one object");
    slot_ = &slot->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    return fail("not valid JSON at byte " + std::to_string(position));
  }

  std::string failure;

 private:
  nlohmann::json* place(nlohmann::json&& value) {
    if (open_.empty()) {
      document_ = std::move(value);
      return &document_;
    }
    if (open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<nlohmann::json::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool add(nlohmann::json value) {
    place(std::move(value));
    return true;
  }

  bool open(nlohmann::json&& container) {
    if (open_.size() == max_depth) {
      return fail("nested deeper than " + std::to_string(max_depth) + " levels");
    }
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool fail(std::string why) {
    failure = std::move(why);
    return false;
  }

  nlohmann::json& document_;
  // Objects and arrays not closed yet. A container gets no sibling while it is open, so the
  // addresses hold.
  std::vector<nlohmann::json*> open_;
  nlohmann::json* slot_ = nullptr;  // where the value of the last key goes
};

// A whole number, also written as 5e6 or 128.0.
std::optional<std::int64_t> whole(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (!(std::fabs(number) < 1e15) || number != std::floor(number)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

std::string plain(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& name) {
  nlohmann::json document;
  Builder builder(document);
  if (!nlohmann::json::sax_parse(text, &builder)) {
    throw Error(name + ": " + builder.failure + ". Is the file damaged? Download it again.");
  }
  return document;
}

std::string shown(const nlohmann::json& value) {
  constexpr std::size_t max = 80;
  if (value.is_structured() && value.size() > 8) {
    return (value.is_array() ? "an array of " : "an object of ") + std::to_string(value.size());
  }
  // `replace`: a message must be valid UTF-8 wherever it is cut.
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > max) text = text.substr(0, max) + "…";
  return text;
}

Fields::Fields(const nlohmann::json& object, std::string name)
    : object_(object), name_(std::move(name)) {
  if (!object.is_object()) throw Error(name_ + ": expected a JSON object, found " + shown(object));
}

const nlohmann::json* Fields::find(const std::string& key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const nlohmann::json& Fields::require(const std::string& key) const {
  const nlohmann::json* value = find(key);
  if (!value) throw Error(name_ + ": the field \"" + key + "\" is missing");
  return *value;
}

void Fields::refuse(const std::string& key, const std::string& expected) const {
  const auto found = object_.find(key);
  throw Error(name_ + ": \"" + key + "\" is " +
              (found == object_.end() ? std::string("missing") : shown(*found)) + "; expected " +
              expected);
}

std::int64_t Fields::integer(const std::string& key, std::int64_t min, std::int64_t max) const {
  const std::optional<std::int64_t> value = whole(require(key));
  if (!value || *value < min || *value > max) {
    refuse(key, "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return *value;
}

std::int64_t Fields::integer(const std::string& key, std::int64_t min, std::int64_t max,
                             std::int64_t when_absent) const {
  return find(key) ? integer(key, min, max) : when_absent;
}

double Fields::number(const std::string& key, double min, double max) const {
  const nlohmann::json& value = require(key);
  if (!value.is_number() || !(value.get<double>() >= min) || !(value.get<double>() <= max)) {
    refuse(key, "a number from " + plain(min) + " to " + plain(max));
  }
  return value.get<double>();
}

double Fields::number(const std::string& key, double min, double max, double when_absent) const {
  return find(key) ? number(key, min, max) : when_absent;
}

bool Fields::flag(const std::string& key, bool when_absent) const {
  const nlohmann::json* value = find(key);
  if (!value) return when_absent;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

std::string Fields::text(const std::string& key) const {
  const nlohmann::json& value = require(key);
  if (!value.is_string()) refuse(key, "a string");
  return value.get<std::string>();
}

std::string Fields::text(const std::string& key, const std::string& when_absent) const {
  return find(key) ? text(key) : when_absent;
}

const nlohmann::json* Fields::array(const std::string& key) const {
  const nlohmann::json* value = find(key);
  if (value && !value->is_array()) refuse(key, "an array");
  return value;
}

const nlohmann::json* Fields::object(const std::string& key) const {
  const nlohmann::json* value = find(key);
  if (value && !value->is_object()) refuse(key, "an object");
  return value;
}

}  // namespace hearth::engine
