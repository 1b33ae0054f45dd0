// The form that a chat's answer is bound to: "response_format", and llama.cpp's "json_schema".
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace hearth::daemon {

// As lsp::GenerateOptions::json_schema. `text`: the body before it was read, for the order of
// properties, which the answer follows. Throws ApiError; also for a schema that says what is not
// known here.
std::string read_form(const nlohmann::json& body, const std::string& text);

}  // namespace hearth::daemon
