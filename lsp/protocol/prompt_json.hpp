// Prompts as JSON: what a job that is written down says to the model.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lsp/support/prompt.hpp"

namespace hearth::lsp {

void to_json(nlohmann::json& json, const Prompt& prompt);
// Throws a std::exception that says what is wrong on a value of another form.
void from_json(const nlohmann::json& json, Prompt& prompt);
void to_json(nlohmann::json& json, const ContextPiece& piece);
void from_json(const nlohmann::json& json, ContextPiece& piece);

}  // namespace hearth::lsp
