// What a server says of an answer, event by event, in the three forms that there are; and what it
// says of an error. All of it is another machine's text: read, never trusted. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/support/model.hpp"

namespace hearth::daemon {

// /v1/chat/completions; /v1/completions; llama.cpp's /infill.
enum class RemoteForm : std::uint8_t { chat, completion, infill };

// Counted by the server, as far as it says.
struct RemoteUsage {
  std::int64_t prompt_tokens = 0;
  std::optional<std::int64_t> cached_tokens;
  std::int64_t written_tokens = 0;  // thought and answer
  std::optional<std::int64_t> thought_tokens;
};

struct RemoteError {
  int status = 0;  // 0: it says none
  std::string message;
  std::string code;
};

struct AnswerChunk {
  std::string text;
  std::string thought;
  std::vector<std::int32_t> tokens;  // of both; empty: it does not tell them
  std::int64_t pieces = 0;           // that had any text: about as many tokens
  std::optional<lsp::FinishReason> finish;
  bool at_stop_string = false;
  std::optional<RemoteUsage> usage;
  std::optional<RemoteError> error;
  bool done = false;  // nothing follows

  void add(AnswerChunk more);
};

// One event's data, or a whole answer. Throws Error for what is no such thing: a clause whose
// subject is the server.
AnswerChunk read_chunk(std::string data, RemoteForm form);

// The body of an answer with an error's status.
RemoteError read_error(int status, std::string body);

}  // namespace hearth::daemon
