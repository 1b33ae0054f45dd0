// Members of OpenAI's and llama.cpp's objects, and where other servers have them.
#include "daemon/remote/answer_chunk.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

using lsp::find;
using lsp::Json;

constexpr std::int64_t most_tokens = std::int64_t{1} << 40;
constexpr std::size_t longest_message = 500;  // of an error

// Absent and null are no text; anything else that is none is a fault.
std::string text_of(const Json& object, const char* name) {
  const Json* value = find(object, name);
  if (value == nullptr) return {};
  if (!value->is_string())
    throw Error("it sends an answer whose \"" + std::string(name) + "\" is no text");
  return value->get<std::string>();
}

std::optional<std::int64_t> count_of(const Json& object, const char* name) {
  const Json* value = find(object, name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned() || value->is_number_integer()) {
    const bool fits = value->is_number_unsigned()
                          ? value->get<std::uint64_t>() <= static_cast<std::uint64_t>(most_tokens)
                          : value->get<std::int64_t>() >= 0;
    if (fits) return value->get<std::int64_t>();
  }
  throw Error("it sends an answer whose \"" + std::string(name) + "\" is no count");
}

std::string shortened(std::string text) {
  text = on_one_line(text);
  const bool longer = text.size() > longest_message;
  return lsp::valid_utf8(text.substr(0, longest_message)) + (longer ? "…" : "");
}

RemoteUsage read_usage(const Json& usage) {
  RemoteUsage read;
  read.prompt_tokens = count_of(usage, "prompt_tokens").value_or(0);
  read.written_tokens = count_of(usage, "completion_tokens").value_or(0);
  if (const Json* details = find(usage, "prompt_tokens_details"))
    read.cached_tokens = count_of(*details, "cached_tokens");
  if (const Json* details = find(usage, "completion_tokens_details"))
    read.thought_tokens = count_of(*details, "reasoning_tokens");
  return read;
}

// An object {"message", "code" or "type"}, or a text.
RemoteError error_of(const Json& given, int status) {
  RemoteError error{status, {}, {}};
  if (given.is_string()) {
    error.message = shortened(given.get<std::string>());
    return error;
  }
  if (const Json* message = find(given, "message"); message != nullptr && message->is_string())
    error.message = shortened(message->get<std::string>());
  for (const char* name : {"code", "type"}) {
    const Json* value = find(given, name);
    if (value == nullptr) continue;
    if (value->is_string() && error.code.empty()) error.code = shortened(value->get<std::string>());
    const bool is_status = value->is_number_integer() && *value >= 400 && *value < 600;
    if (is_status && error.status == 0) error.status = value->get<int>();
  }
  return error;
}

void read_tokens(const Json& choice, std::vector<std::int32_t>& tokens) {
  const Json* ids = find(choice, "token_ids");
  if (ids == nullptr) return;
  if (!ids->is_array()) throw Error("it sends an answer whose \"token_ids\" are no list");
  for (const Json& id : *ids) {
    const bool fits = id.is_number_unsigned() &&
                      id.get<std::uint64_t>() <=
                          static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
    if (!fits) throw Error("it sends an answer whose \"token_ids\" are no tokens");
    tokens.push_back(id.get<std::int32_t>());
  }
}

void read_choice(const Json& choice, RemoteForm form, AnswerChunk& chunk) {
  if (form == RemoteForm::chat) {
    const Json* delta = find(choice, "delta");
    if (delta == nullptr) delta = find(choice, "message");  // of a whole answer
    if (delta != nullptr) {
      chunk.text = text_of(*delta, "content");
      for (const char* name : {"reasoning_content", "reasoning"}) {
        if (chunk.thought.empty()) chunk.thought = text_of(*delta, name);
      }
    }
  } else {
    chunk.text = text_of(choice, "text");
  }
  read_tokens(choice, chunk.tokens);
  const std::string finish = text_of(choice, "finish_reason");
  if (!finish.empty())
    chunk.finish = finish == "length" ? lsp::FinishReason::length : lsp::FinishReason::stop;
  if (const Json* stopped = find(choice, "stop_reason"))
    chunk.at_stop_string = stopped->is_string();  // as vLLM has it
}

void read_infill(const Json& event, AnswerChunk& chunk) {
  chunk.text = text_of(event, "content");
  if (!lsp::flag(event, {"stop"})) return;
  chunk.done = true;
  const std::string type = text_of(event, "stop_type");
  chunk.finish = type == "limit" ? lsp::FinishReason::length : lsp::FinishReason::stop;
  chunk.at_stop_string = type == "word";
  RemoteUsage usage;
  usage.prompt_tokens = count_of(event, "tokens_evaluated").value_or(0);
  usage.written_tokens = count_of(event, "tokens_predicted").value_or(0);
  if (const Json* timings = find(event, "timings"))
    usage.cached_tokens = count_of(*timings, "cache_n");
  if (usage.prompt_tokens > 0) chunk.usage = usage;
}

}  // namespace

void AnswerChunk::add(AnswerChunk more) {
  text += more.text;
  thought += more.thought;
  tokens.insert(tokens.end(), more.tokens.begin(), more.tokens.end());
  pieces += more.pieces;
  at_stop_string |= more.at_stop_string;
  done |= more.done;
  if (more.finish) finish = more.finish;
  if (more.usage) usage = more.usage;
  if (more.error && !error) error = std::move(more.error);
}

AnswerChunk read_chunk(std::string data, RemoteForm form) {
  AnswerChunk chunk;
  if (data == "[DONE]") {
    chunk.done = true;
    return chunk;
  }
  Json event;
  try {
    event = lsp::parse_json(std::move(data));
  } catch (const lsp::BadJson&) {
    throw Error("it sends an answer that is no JSON");
  }
  if (!event.is_object()) throw Error("it sends an answer that is no object");
  if (const Json* error = find(event, "error")) {
    chunk.error = error_of(*error, 0);
    return chunk;
  }
  if (form == RemoteForm::infill) {
    read_infill(event, chunk);
  } else {
    const Json* choices = find(event, "choices");
    if (choices != nullptr && !choices->is_array())
      throw Error("it sends an answer whose \"choices\" are no list");
    if (choices != nullptr && !choices->empty()) read_choice(choices->front(), form, chunk);
    if (const Json* usage = find(event, "usage")) chunk.usage = read_usage(*usage);
    const bool known =
        choices != nullptr || chunk.usage || find(event, "prompt_progress") != nullptr;
    if (!known) throw Error("it sends an answer without \"choices\"");
  }
  chunk.pieces = chunk.text.empty() && chunk.thought.empty() ? 0 : 1;
  return chunk;
}

RemoteError read_error(int status, std::string body) {
  std::string text = body;
  try {
    const Json object = lsp::parse_json(std::move(body));
    for (const char* name : {"error", "detail", "message"}) {
      const Json* given = find(object, name);
      if (given == nullptr) continue;
      RemoteError error =
          name == std::string_view("message") ? error_of(object, status) : error_of(*given, status);
      if (!error.message.empty()) return error;
    }
  } catch (const lsp::BadJson&) {
    // A proxy's page.
  }
  if (text.find('<') != text.npos) text.clear();
  return {status, shortened(std::move(text)), {}};
}

}  // namespace hearth::daemon
