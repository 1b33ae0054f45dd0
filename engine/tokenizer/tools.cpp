// The published wording around tools, and JSON as the templates write it.
#include "engine/tokenizer/tools.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
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
std::string parameter_text(const OrderedJson& value, ToolStyle style) {
  if (value.is_string()) return value.get<std::string>();
  if (style == ToolStyle::tags && value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (style == ToolStyle::tags && value.is_null()) return "None";
  std::string text;
  write_json(value, text);
  return text;
}

// --- Declarations in tags ---

std::string between_blanks(const std::string& text) {
  constexpr std::string_view blanks = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::string tagged(const std::string& tag, const std::string& content) {
  return "\n<" + tag + ">" + content + "</" + tag + ">";
}

// A type may be a list of them: as Python writes lists of texts.
std::string type_text(const OrderedJson& type) {
  if (!type.is_array()) return parameter_text(type, ToolStyle::tags);
  std::string text;
  for (const OrderedJson& each : type)
    text += (text.empty() ? "'" : ", '") + parameter_text(each, ToolStyle::tags) + "'";
  return "[" + text + "]";
}

std::string description_of(const OrderedJson& value) {
  const auto found = value.find("description");
  if (found == value.end()) return {};
  return tagged("description", between_blanks(parameter_text(*found, ToolStyle::tags)));
}

// All members but these.
std::string other_members(const OrderedJson& value,
                          std::initializer_list<std::string_view> written) {
  std::string text;
  if (!value.is_object()) return text;
  for (const auto& [key, member] : value.items()) {
    if (std::ranges::find(written, key) == written.end())
      text += tagged(key, parameter_text(member, ToolStyle::tags));
  }
  return text;
}

std::string declaration_in_tags(const OrderedJson& tool) {
  const OrderedJson& function =
      tool.contains("function") && tool["function"].is_object() ? tool["function"] : tool;
  const OrderedJson none = OrderedJson::object();
  const OrderedJson& parameters = function.contains("parameters") ? function["parameters"] : none;
  std::string text = "\n<function>";
  text += tagged("name", parameter_text(function.value("name", OrderedJson("")), ToolStyle::tags));
  text += description_of(function) + "\n<parameters>";
  if (parameters.is_object() && parameters.contains("properties") &&
      parameters["properties"].is_object()) {
    for (const auto& [name, parameter] : parameters["properties"].items()) {
      text += "\n<parameter>" + tagged("name", name);
      if (parameter.is_object()) {
        if (parameter.contains("type")) text += tagged("type", type_text(parameter["type"]));
        text += description_of(parameter);
      }
      text += other_members(parameter, {"name", "type", "description"}) + "\n</parameter>";
    }
  }
  text += other_members(parameters, {"type", "properties"}) + "\n</parameters>";
  text += other_members(function, {"type", "name", "description", "parameters"});
  return text + "\n</function>";
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

void add_tool_declarations(std::vector<Piece>& pieces, std::span<const std::string> tools,
                           ToolStyle style) {
  add_template_text(pieces, before_tools);
  for (const std::string& tool : tools) {
    const OrderedJson parsed = parse_object(tool, "a tool's declaration and what is in it");
    std::string text = "\n";
    if (style == ToolStyle::tags)
      text = declaration_in_tags(parsed);
    else
      write_json(parsed, text);
    pieces.emplace_back(std::move(text));
  }
  add_template_text(pieces, after_tools);
}

void add_tool_call(std::vector<Piece>& pieces, const ToolCall& call, ToolStyle style) {
  add_template_text(pieces, "<tool_call>\n");
  std::string text = "<function=" + call.name + ">\n";
  const OrderedJson arguments = parse_object(call.arguments.empty() ? "{}" : call.arguments,
                                             "the arguments of the call of " + call.name);
  for (const auto& [key, value] : arguments.items()) {
    text += "<parameter=" + key + ">\n" + parameter_text(value, style) + "\n</parameter>\n";
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
