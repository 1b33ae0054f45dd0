// The published wording around tools, and JSON as the templates write it.
#include "engine/tokenizer/tools.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace hearth::engine {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int max_tool_nesting = 64;

constexpr std::string_view before_tools =
    "# Tools\n"
    "\n"
    "You have access to the following functions:\n"
    "\n"
    "<tools>";
constexpr std::string_view after_tools =
    "\n"
    "</tools>\n"
    "\n"
    "If you choose to call a function ONLY reply in the following format with NO suffix:\n"
    "\n"
    "<tool_call>\n"
    "<function=example_function_name>\n"
    "<parameter=example_parameter_1>\n"
    "value_1\n"
    "</parameter>\n"
    "<parameter=example_parameter_2>\n"
    "This is the value for the second parameter\n"
    "that can span\n"
    "multiple lines\n"
    "</parameter>\n"
    "</function>\n"
    "</tool_call>\n"
    "\n"
    "<IMPORTANT>\n"
    "Reminder:\n"
    "- Function calls MUST follow the specified format: an inner <function=...></function> block "
    "must be nested within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n"
    "- You may provide optional reasoning for your function call in natural language BEFORE the "
    "function call, but NOT after\n"
    "- If there is no function call available, answer the question like normal with your current "
    "knowledge and do not tell the user about function calls\n"
    "</IMPORTANT>";

OrderedJson parse_object(const std::string& text, const std::string& what) {
  const auto no_deeper = [&](int depth, OrderedJson::parse_event_t, OrderedJson&) {
    if (depth > max_tool_nesting) throw Error(what + " are nested too deep");
    return true;
  };
  OrderedJson value = OrderedJson::parse(text, no_deeper, false);
  if (!value.is_object()) throw Error(what + " are no JSON object");
  return value;
}

// With a space behind each comma and colon, as the templates' own filter writes it.
void write_json(const OrderedJson& value, std::string& out) {
  if (!value.is_structured()) {
    out += value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    return;
  }
  out += value.is_object() ? '{' : '[';
  bool first = true;
  for (const auto& [key, member] : value.items()) {
    if (!std::exchange(first, false)) out += ", ";
    if (value.is_object())
      out += OrderedJson(key).dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + ": ";
    write_json(member, out);
  }
  out += value.is_object() ? '}' : ']';
}

// A text is written as it is.
std::string parameter_text(const OrderedJson& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string text;
  write_json(value, text);
  return text;
}

}  // namespace

void add_template_text(std::vector<Piece>& pieces, std::string_view text) {
  constexpr std::array<std::string_view, 4> tags{"<tool_call>", "</tool_call>", "<tool_response>",
                                                 "</tool_response>"};
  while (!text.empty()) {
    std::size_t begin = text.size();
    std::string_view found;
    for (const std::string_view tag : tags) {
      const std::size_t at = std::min(text.find(tag), text.size());
      if (at >= begin) continue;
      begin = at;
      found = tag;
    }
    if (begin > 0) pieces.emplace_back(std::string(text.substr(0, begin)));
    if (!found.empty()) pieces.emplace_back(Special{std::string(found)});
    text.remove_prefix(begin + found.size());
  }
}

void add_tool_declarations(std::vector<Piece>& pieces, std::span<const std::string> tools) {
  add_template_text(pieces, before_tools);
  for (const std::string& tool : tools) {
    std::string line = "\n";
    write_json(parse_object(tool, "a tool's declaration and what is in it"), line);
    pieces.emplace_back(std::move(line));
  }
  add_template_text(pieces, after_tools);
}

void add_tool_call(std::vector<Piece>& pieces, const ToolCall& call) {
  add_template_text(pieces, "<tool_call>\n");
  std::string text = "<function=" + call.name + ">\n";
  const OrderedJson arguments = parse_object(call.arguments.empty() ? "{}" : call.arguments,
                                             "the arguments of the call of " + call.name);
  for (const auto& [key, value] : arguments.items()) {
    text += "<parameter=" + key + ">\n" + parameter_text(value) + "\n</parameter>\n";
  }
  text += "</function>\n";
  pieces.emplace_back(std::move(text));
  add_template_text(pieces, "</tool_call>");
}

void add_tool_result(std::vector<Piece>& pieces, std::string_view content) {
  add_template_text(pieces, "<tool_response>\n");
  if (!content.empty()) pieces.emplace_back(std::string(content));
  add_template_text(pieces, "\n</tool_response>");
}

}  // namespace hearth::engine
