// The bodies of POST /v1/completions and /v1/fim/completions, and of llama.cpp's /completion and
// /infill.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon/serve/answering.hpp"
#include "daemon/serve/api.hpp"

namespace hearth::daemon {

struct CompletionRequest {
  AnswerRequest answer;
  bool usage = false;  // stream_options.include_usage
  bool echo = false;   // an answer begins with its prompt
  // Of llama.cpp's:
  std::int64_t indent = 0;          // the answer ends before a line that is indented less
  std::vector<std::string> fields;  // of the answer, "timings/prompt_ms"; empty: all
};

// What a prompt may be long, from the model's profile: tokens on either side of the cursor.
struct FimRoom {
  std::int64_t prefix = 0;
  std::int64_t suffix = 0;
};

// These throw ApiError that names the member.
// `fim`: in the middle, also where there is no suffix; until the model ends it.
CompletionRequest read_completion(const nlohmann::json& body, const ApiOptions& options,
                                  std::uint64_t connection, bool fim = false);
// A /completion where `infill` is false.
CompletionRequest read_infill(const nlohmann::json& body, const ApiOptions& options,
                              std::uint64_t connection, bool infill);

// Leaves out of a prompt that is filled in the middle what is farthest from the cursor. What is cut
// off before it rarely changes while one types, so that what was read stays in use.
void fit_fim(lsp::Prompt& prompt, const FimRoom& room);

}  // namespace hearth::daemon
