// nlohmann's parser, into a value of bounded depth and size.
#include "lsp/protocol/json_text.hpp"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "lsp/support/text.hpp"

namespace hearth::lsp {
namespace {

using nlohmann::json;

constexpr int number_too_large = 406;  // nlohmann's out_of_range

// Builds the value as the parser comes along. Each event returns whether to go on.
class Builder final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON has none

  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    member_ = &(*open_.back())[std::move(name)];
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const json::exception& error) override {
    const std::string place = " (at byte " + std::to_string(byte) + ")";
    fail(BadJson::Kind::not_json, error.id == number_too_large
                                      ? "the message has a number that is too large" + place
                                      : "the message is not valid JSON" + place);
    return false;
  }

  bool fail(BadJson::Kind kind, std::string message) {
    kind_ = kind;
    message_ = std::move(message);
    return false;
  }

  json take() { return std::move(root_); }
  BadJson::Kind kind() const { return kind_; }  // of the fault
  BadJson fault() { return {kind_, message_, take()}; }

 private:
  bool add(json value) { return place(std::move(value)) != nullptr; }

  bool open(json container) {
    if (open_.size() == max_json_nesting) {
      return fail(BadJson::Kind::too_much, "the message is nested deeper than " +
                                               std::to_string(max_json_nesting) + " levels");
    }
    json* placed = place(std::move(container));
    if (placed != nullptr) open_.push_back(placed);
    return placed != nullptr;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  // The position of the value from now on, until the next one is added to the same container. Null:
  // there are too many.
  json* place(json value) {
    if (++values_ > max_json_values) {
      fail(BadJson::Kind::too_much,
           "the message has more than " + std::to_string(max_json_values) + " values");
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *member_ = std::move(value);
    return member_;
  }

  json root_;
  std::vector<json*> open_;  // containers, from the outermost
  json* member_ = nullptr;   // of the innermost object, whose value comes next
  std::size_t values_ = 0;
  BadJson::Kind kind_ = BadJson::Kind::not_json;
  std::string message_;
};

// The code unit that a \uXXXX at `at` stands for.
std::optional<unsigned> escaped_unit(std::string_view text, std::size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  unsigned unit = 0;
  for (const char c : text.substr(at + 2, 4)) {
    const bool digit = c >= '0' && c <= '9';
    const char lower = static_cast<char>(c | 0x20);
    if (!digit && (lower < 'a' || lower > 'f')) return std::nullopt;
    unit = unit * 16 + static_cast<unsigned>(digit ? c - '0' : lower - 'a' + 10);
  }
  return unit;
}

// False: there are none.
bool replace_lone_surrogates(std::string& text) {
  bool replaced = false;
  for (std::size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at)) {
    const auto unit = escaped_unit(text, at);
    if (!unit) {
      at += 2;  // another escape, of one character
      continue;
    }
    const bool high = *unit >= 0xD800 && *unit < 0xDC00;
    const bool low = *unit >= 0xDC00 && *unit < 0xE000;
    const auto next = high ? escaped_unit(text, at + 6) : std::nullopt;
    const bool pair = next && *next >= 0xDC00 && *next < 0xE000;
    if ((high && !pair) || low) {
      text.replace(at + 2, 4, "FFFD");
      replaced = true;
    }
    at += pair ? 12 : 6;
  }
  return replaced;
}

}  // namespace

json parse_json(std::string& text) {
  for (;;) {
    Builder builder;
    if (json::sax_parse(text, &builder)) return builder.take();
    if (builder.kind() == BadJson::Kind::not_json) {
      if (!is_valid_utf8(text)) {
        builder.fail(BadJson::Kind::not_utf8, "the message is not valid UTF-8");
      } else if (replace_lone_surrogates(text)) {
        continue;
      }
    }
    throw builder.fault();
  }
}

json parse_json(std::string&& text) {
  return parse_json(text);
}

std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace hearth::lsp
