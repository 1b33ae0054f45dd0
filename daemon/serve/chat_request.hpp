// The body of POST /v1/chat/completions.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daemon/serve/answering.hpp"
#include "daemon/serve/api.hpp"
#include "daemon/serve/tool_calls.hpp"

namespace hearth::daemon {

struct ChatRequest {
  AnswerRequest answer;
  bool usage = false;       // stream_options.include_usage
  std::vector<Tool> tools;  // that may be called
  bool either = false;      // the answer calls, or is of the form that was asked for
  bool stops = false;       // at texts of the client's
};

// `text`: the body before it was read. Throws ApiError that names the member.
ChatRequest read_chat(const nlohmann::json& body, const std::string& text,
                      const ApiOptions& options, std::uint64_t connection);

}  // namespace hearth::daemon
