// What a template writes of tools: their declarations in the system turn, calls in an assistant's,
// results in a user's. Private to the templates (templates.cpp).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/profile.hpp"

namespace hearth::engine {

// Text of a template's own: the tags in it that are added tokens become those.
void add_template_text(std::vector<Piece>& pieces, std::string_view text);

// `tools`: a JSON object each, as endpoints take them; their text is written anew, members in the
// given order. Throws Error for what is none.
void add_tool_declarations(std::vector<Piece>& pieces, std::span<const std::string> tools);
// Error where a call's arguments are no JSON object.
void add_tool_call(std::vector<Piece>& pieces, const ToolCall& call);
void add_tool_result(std::vector<Piece>& pieces, std::string_view content);

}  // namespace hearth::engine
