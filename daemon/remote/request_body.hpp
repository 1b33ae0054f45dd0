// What is asked of a server, as the JSON of its endpoints: chats, completions in the middle of
// code, raw text, prompts of tokens. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/remote/answer_chunk.hpp"
#include "daemon/remote/server_facts.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::daemon {

struct AskedBody {
  std::string path;  // of the API, or of the server
  bool of_api = true;
  nlohmann::json body;
  RemoteForm form = RemoteForm::chat;
};

// In text, whatever could be a special token broken up. Error where the server cannot do what the
// prompt is for. `max_tokens`: of all that is written, the thought too.
AskedBody body_of_text(const ServerFacts& facts, const lsp::Prompt& prompt,
                       const lsp::GenerateOptions& options, std::int64_t max_tokens);
// With the tokens that end the answer, for the servers that can be told.
AskedBody body_of_tokens(const ServerFacts& facts, std::span<const std::int32_t> tokens,
                         std::span<const std::int32_t> stop_tokens,
                         const lsp::GenerateOptions& options, std::int64_t max_tokens);

// The same prompt for people, in pieces: what is broken up says so.
std::vector<lsp::PromptPiece> pieces_of_text(const lsp::Prompt& prompt, double bytes_per_token);

}  // namespace hearth::daemon
