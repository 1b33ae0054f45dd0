// A generation as JSON, for control connections: what is asked, how far it is, what came of it.
//
//   options   {"maxTokens": 512, "thinking": true, "thinkingBudget": 2048, "seed": 7,
//             "sampling": "recommended", "temperature": 0.2, "topK": 20, "topP": 0.9,
//             "stop": ["\n\n"]}, every member optional
//   progress  {"phase": "prefilling", "promptTokens", "cachedTokens", "promptDone",
//             "thoughtTokens", "answerTokens", "ahead"}, with "firstTokenMs" and "etaMs" where they
//             are known
//   answer    {"finish": "stop", "promptTokens", "cachedTokens", "thoughtTokens", "thoughtCut",
//             "answerTokens", "promptMs", "answerMs", "generated": […]}; its text came before
// Reading throws lsp::InvalidParams that names the member.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lsp/support/model.hpp"

namespace hearth::daemon {

nlohmann::json to_json(const lsp::GenerateOptions& options);  // without priority, client and action
// Whoever sent it: each member is held to what a person could mean.
lsp::GenerateOptions read_options(const nlohmann::json& given);

// Of {"prompt": …}, as lsp/protocol/prompt_json.hpp has it, with at most 2,000 messages and
// segments; tokens that an assistant wrote are for the model to check.
lsp::Prompt read_prompt(const nlohmann::json& given);

nlohmann::json to_json(const lsp::GenerationProgress& progress);
lsp::GenerationProgress read_progress(const nlohmann::json& given);

nlohmann::json to_json(const lsp::Answer& answer);
lsp::Answer read_answer(const nlohmann::json& given);

}  // namespace hearth::daemon
