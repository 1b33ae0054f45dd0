// What a template writes of tools: their declarations in the system turn, calls in an assistant's,
// results in a user's. Private to the templates (templates.cpp).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/profile.hpp"

namespace hearth::engine {

// Text of a template's own: the tags in it that are added tokens become those.
void add_template_text(std::vector<Piece>& pieces, std::string_view text);

enum class ToolStyle : std::uint8_t {
  json,  // Qwen3.5 and later: a declaration is JSON, and so is every argument but texts
  tags,  // Qwen3-Coder: a declaration's members in tags; plain values as Python writes them
};

// `tools`: a JSON object each, as endpoints take them; their text is written anew, members in the
// given order. Throws Error for what is none.
void add_tool_declarations(std::vector<Piece>& pieces, std::span<const std::string> tools,
                           ToolStyle style);
// Error where a call's arguments are no JSON object.
void add_tool_call(std::vector<Piece>& pieces, const ToolCall& call, ToolStyle style);
void add_tool_result(std::vector<Piece>& pieces, std::string_view content);

}  // namespace hearth::engine
