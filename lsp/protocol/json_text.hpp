// JSON text of another process into a value, and a value into text: the one parser at both ends of
// the socket, so that the daemon and the stdio proxy read a message alike. Whatever the text is
// costs an exception, never the process. Knows nothing of what the value means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace hearth::lsp {

// Values are copied, written and destroyed recursively: what is nested deeper than any client nests
// would end the process by its stack.
inline constexpr std::size_t max_json_nesting = 200;
// A value takes up to 100 bytes of memory for two bytes of text.
inline constexpr std::size_t max_json_values = 2'000'000;

class BadJson : public std::runtime_error {
 public:
  enum class Kind : std::uint8_t {
    not_utf8,
    not_json,  // numbers that no double holds are none either
    too_much,  // nested too deep, or too many values
  };

  BadJson(Kind what, const std::string& message, nlohmann::json so_far)
      : std::runtime_error(message),
        kind(what),
        begun(std::make_shared<const nlohmann::json>(std::move(so_far))) {}

  Kind kind;
  // What was read before the fault: its objects and arrays lack what would have come behind it.
  std::shared_ptr<const nlohmann::json> begun;
};

// Throws BadJson, whose message quotes nothing of the text. Editors that keep text in UTF-16 may
// send half a surrogate pair as an escape, which is no JSON: refusing it would lose an edit, so it
// is read as U+FFFD, which counts as many units, and `text` says so afterwards.
nlohmann::json parse_json(std::string& text);
nlohmann::json parse_json(std::string&& text);

// On one line; bytes that are no UTF-8, which a model may write, as U+FFFD.
std::string dump(const nlohmann::json& value);

}  // namespace hearth::lsp
