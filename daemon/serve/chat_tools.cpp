// "tools", "tool_choice" in its four forms, and calls that a client sends back.
#include "daemon/serve/chat_tools.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/serve/body.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t max_tools = 256;
constexpr std::size_t max_name = 128;

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= max_name &&
         text.find_first_of("<>\r\n\"") == std::string::npos;
}

// {"type": "function", "function": {…}} of `value`, which is called `path`.
const json& function_of(const json& value, const std::string& path) {
  if (!value.is_object()) throw bad_member(path, "is no object");
  if (text_member(value, "type", path + ".").value_or("function") != "function")
    throw cannot_serve(path + ".type", "functions are the only tools");
  const json* function = lsp::find(value, "function");
  if (function == nullptr || !function->is_object())
    throw bad_member(path + ".function", "is no object");
  if (!is_name(text_member(*function, "name", path + ".function.").value_or("")))
    throw bad_member(path + ".function.name", "is no name");
  return *function;
}

// As the client wrote it; else as it was read.
std::string declaration(const nlohmann::ordered_json& written, const json& read,
                        std::size_t index) {
  constexpr auto replace = json::error_handler_t::replace;
  if (written.is_object() && written.contains("tools") && written["tools"].is_array() &&
      index < written["tools"].size() && written["tools"][index].is_object())
    return written["tools"][index].dump(-1, ' ', false,
                                        nlohmann::ordered_json::error_handler_t::replace);
  return read.dump(-1, ' ', false, replace);
}

std::vector<Tool> declared(const json& body, const std::string& text) {
  std::vector<Tool> tools;
  const json* given = lsp::find(body, "tools");
  if (given == nullptr) return tools;
  if (!given->is_array() || given->size() > max_tools)
    throw bad_member("tools", "is no list of at most " + std::to_string(max_tools) + " tools");
  const auto written = nlohmann::ordered_json::parse(text, nullptr, false);
  for (std::size_t i = 0; i < given->size(); ++i) {
    const json& function = function_of((*given)[i], "tools." + std::to_string(i));
    const json* parameters = lsp::find(function, "parameters");
    tools.push_back({function["name"], declaration(written, (*given)[i], i),
                     parameters == nullptr ? json::object() : *parameters,
                     flag_member(function, "strict", "tools." + std::to_string(i) + ".function.")
                         .value_or(false)});
  }
  return tools;
}

}  // namespace

ToolUse read_tools(const json& body, const std::string& text) {
  ToolUse use;
  use.tools = declared(body, text);
  use.several = flag_member(body, "parallel_tool_calls").value_or(true);
  const json* choice = lsp::find(body, "tool_choice");
  if (choice == nullptr) return use;
  const std::string begin = std::string(ToolCallParser::opening) + "\n<function=";
  if (choice->is_string()) {
    const auto& word = choice->get_ref<const std::string&>();
    if (word == "none") use.tools.clear();
    if (word == "none" || word == "auto") return use;
    if (word != "required")
      throw bad_member("tool_choice", "is none of \"none\", \"auto\" and \"required\"");
    if (use.tools.empty())
      throw bad_member("tool_choice", "requires a call, but there are no tools");
    use.bound = use.tools;
    // Where there is one, it is known which.
    use.begun = use.tools.size() == 1 ? begin + use.tools.front().name + ">\n" : begin;
    return use;
  }
  const std::string name = function_of(*choice, "tool_choice")["name"];
  const auto named = [&](const Tool& tool) { return tool.name == name; };
  const auto found = std::ranges::find_if(use.tools, named);
  if (found == use.tools.end())
    throw bad_member("tool_choice.function.name", "is none of \"tools\"");
  use.bound = {*found};
  use.begun = begin + name + ">\n";
  use.several = false;
  return use;
}

std::vector<lsp::ToolCall> read_tool_calls(const json& message, const std::string& path) {
  std::vector<lsp::ToolCall> calls;
  const json* given = lsp::find(message, "tool_calls");
  if (given == nullptr) return calls;
  if (!given->is_array()) throw bad_member(path + "tool_calls", "is no list of calls");
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string at = path + "tool_calls." + std::to_string(i);
    const json& function = function_of((*given)[i], at);
    const json* arguments = lsp::find(function, "arguments");
    std::string text = "{}";
    if (arguments != nullptr && arguments->is_string())
      text = arguments->get<std::string>();
    else if (arguments != nullptr)
      text = arguments->dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.empty()) text = "{}";
    if (!json::accept(text) || text[text.find_first_not_of(" \t\r\n")] != '{')
      throw bad_member(at + ".function.arguments", "is no JSON object");
    calls.push_back(
        {function["name"], std::move(text), text_member((*given)[i], "id", at + ".").value_or("")});
  }
  return calls;
}

}  // namespace hearth::daemon
