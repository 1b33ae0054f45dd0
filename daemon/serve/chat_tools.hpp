// What a chat's body says of tools: which there are, and whether one is to be called.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon/serve/tool_calls.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::daemon {

struct ToolUse {
  std::vector<Tool> tools;  // that may be called; empty: none, whatever was declared
  // How the answer begins where one has to be called: the tag, with a name where it was named.
  std::string begun;
  // Of the tools those to which the answer is bound where it calls some; empty: it calls as it
  // likes.
  std::vector<Tool> bound;
  bool several = true;  // calls in one answer
};

// These throw ApiError that names the member. `text`: the body before it was read, for the order of
// members in declarations, which are shown to the model as they are.
ToolUse read_tools(const nlohmann::json& body, const std::string& text);
// "tool_calls" of an assistant's message; `path`: "messages.2.".
std::vector<lsp::ToolCall> read_tool_calls(const nlohmann::json& message, const std::string& path);

}  // namespace hearth::daemon
