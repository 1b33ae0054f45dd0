// Tool calls out of a model's text, as it comes: templates of Qwen3.5 and later write them as tags,
// clients take them as names and JSON.
//
//   <tool_call>
//   <function=get_weather>
//   <parameter=city>
//   Berlin
//   </parameter>
//   </function>
//   </tool_call>
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::daemon {

// Of a tool: its declaration, as endpoints take it.
struct Tool {
  std::string name;
  std::string declaration;    // a JSON object, members in the client's order
  nlohmann::json parameters;  // the schema of its arguments
  bool strict = false;        // a schema that is not known whole is refused where it binds
};

struct ToolEvent {
  enum class Kind : std::uint8_t {
    text,       // of the answer, without what is around calls
    call,       // another call begins: its name
    arguments,  // more of the present call's arguments, as JSON text
  };
  Kind kind = Kind::text;
  std::string text;
};

class ToolCallParser {
 public:
  static constexpr std::string_view opening = "<tool_call>";
  static constexpr std::string_view closing = "</tool_call>";

  // What calls are told by: their parameters' types decide whether a value is a text. Without tools
  // all is text. `either`: an answer is calls, or a text in which none is looked for.
  explicit ToolCallParser(std::vector<Tool> tools, bool either = false)
      : tools_(std::move(tools)), either_(either) {}

  std::vector<ToolEvent> push(std::string_view text);
  // The end: what was held back. A call that is not complete stays so.
  std::vector<ToolEvent> finish();
  std::size_t calls() const { return calls_; }

 private:
  enum class State : std::uint8_t { text, opened, parameters, closed };

  bool step(std::vector<ToolEvent>& events, bool at_end);
  bool take_text(std::vector<ToolEvent>& events, bool at_end);
  bool take_function(std::vector<ToolEvent>& events, bool at_end);
  bool take_parameter(std::vector<ToolEvent>& events, bool at_end);
  bool take_closing(bool at_end);
  // What a parameter's schema allows.
  struct Allowed {
    std::set<std::string> types;         // by their names
    std::vector<nlohmann::json> values;  // each by itself
  };
  static void add_allowed(const nlohmann::json& schema, const nlohmann::json& root,
                          Allowed& allowed, int depth = 0);
  static bool is_text(const Allowed& allowed);
  Allowed allowed_for(const std::string& parameter) const;
  std::size_t end_of_value(const std::string& parameter, std::string_view text, std::size_t begin,
                           bool at_end) const;
  std::string value_of(const std::string& parameter, const std::string& text) const;

  const std::vector<Tool> tools_;
  const bool either_;
  State state_ = State::text;
  std::string held_;       // not decided yet
  bool any_text_ = false;  // said
  std::size_t calls_ = 0;
  std::string function_;  // of the present call
  bool any_parameter_ = false;
};

}  // namespace hearth::daemon
