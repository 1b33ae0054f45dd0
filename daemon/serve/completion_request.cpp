// Prompts as text, as tokens, and as what is before and behind a cursor.
#include "daemon/serve/completion_request.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/serve/sampling_request.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::int64_t openai_max_tokens = 16;  // where a request says nothing
constexpr std::size_t max_prompts = 128;
// Code has more; so a prompt that is cut by its bytes fits.
constexpr std::int64_t bytes_of_token = 3;

// A text, or a list of tokens.
AnswerRequest::Source source_of(const json& given) {
  AnswerRequest::Source source;
  if (given.is_string())
    source.text = given.get<std::string>();
  else if (given.is_array())
    source.tokens = tokens_of(given, "prompt");
  else
    throw bad_member("prompt", "is neither a text nor a list of tokens");
  if (source.text.empty() && source.tokens.empty())
    throw bad_member("prompt", "is empty: there is nothing to go on with");
  return source;
}

// Of "prompt": one, or a list of them.
void read_prompts(const json& body, AnswerRequest& answer) {
  const json* given = lsp::find(body, "prompt");
  if (given == nullptr) throw bad_member("prompt", "is missing");
  answer.prompt.kind = lsp::Prompt::Kind::text;
  answer.prompt_name = "prompt";
  const bool lists = given->is_array() && !given->empty() && !given->front().is_number();
  if (!lists) {
    answer.sources = {source_of(*given)};
    return;
  }
  if (given->size() > max_prompts)
    throw bad_member("prompt", "has more than " + std::to_string(max_prompts) + " prompts");
  for (const json& each : *given) answer.sources.push_back(source_of(each));
}

void fill_in(AnswerRequest& answer, std::string before, std::string behind) {
  answer.prompt = {};
  answer.prompt.kind = lsp::Prompt::Kind::fill_in_the_middle;
  answer.prompt.prefix = {{std::move(before)}};
  answer.prompt.suffix = {{std::move(behind)}};
  answer.sources.clear();
  // As hearth's own completions, unless another way is asked for.
  answer.options.sampling = lsp::Sampling::greedy;
  answer.prompt_name = "input_prefix";
}

std::optional<std::chrono::milliseconds> time_member(const json& body, const char* name) {
  const auto time = integer_member(body, name, -1, 86'400'000);
  if (!time || *time <= 0) return std::nullopt;
  return std::chrono::milliseconds(*time);
}

// Pieces of other files, before the file itself.
std::string extra_of(const json& body) {
  const json* given = lsp::find(body, "input_extra");
  if (given == nullptr) return {};
  if (!given->is_array()) throw bad_member("input_extra", "is no list of {\"filename\", \"text\"}");
  std::string text;
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string path = "input_extra." + std::to_string(i);
    if (!(*given)[i].is_object()) throw bad_member(path, "is no object");
    const auto piece = text_member((*given)[i], "text", path + ".");
    if (!piece) throw bad_member(path, "has no text");
    text += *piece;
    if (!text.ends_with('\n')) text += '\n';
    text += '\n';
  }
  return text;
}

// Where a line begins, at or behind `at`.
std::size_t next_line(std::string_view text, std::size_t at) {
  if (at == 0) return 0;
  const std::size_t end = text.find('\n', at - 1);
  return end == text.npos ? at : end + 1;
}

}  // namespace

CompletionRequest read_completion(const json& body, const ApiOptions& options,
                                  std::uint64_t connection, bool fim) {
  CompletionRequest request;
  AnswerRequest& answer = request.answer;
  answer.options = read_options(body, options, connection);
  const bool limited =
      lsp::find(body, "max_tokens") != nullptr || lsp::find(body, "n_predict") != nullptr;
  if (!limited && !fim) answer.options.max_tokens = openai_max_tokens;
  if (lsp::find(body, "response_format") != nullptr || lsp::find(body, "json_schema") != nullptr)
    throw cannot_serve("response_format", "chats alone are bound to a form");
  request.echo = answer.tells_prompts = flag_member(body, "echo").value_or(false);
  const auto told = integer_member(body, "logprobs", 0, 20);
  if (told && request.echo)
    throw cannot_serve("logprobs",
                       "how likely a prompt's tokens were is not told, and \"echo\" has them");
  answer.options.top_probabilities = static_cast<int>(told.value_or(-1));
  read_prompts(body, answer);
  if (auto suffix = text_member(body, "suffix").value_or(""); fim || !suffix.empty()) {
    if (answer.sources.size() > 1)
      throw cannot_serve("prompt", "one at a time is filled in the middle");
    if (answer.sources.front().text.empty())
      throw cannot_serve("suffix", "a prompt of tokens is not filled in the middle");
    if (request.echo) throw cannot_serve("echo", "what is filled in stands in the middle");
    fill_in(answer, std::move(answer.sources.front().text), std::move(suffix));
  }
  answer.stream = flag_member(body, "stream").value_or(false);
  answer.progress = flag_member(body, "return_progress").value_or(false);
  if (const json* chosen = lsp::find(body, "stream_options")) {
    if (!chosen->is_object()) throw bad_member("stream_options", "is no object");
    request.usage = flag_member(*chosen, "include_usage", "stream_options.").value_or(false);
  }
  return request;
}

CompletionRequest read_infill(const json& body, const ApiOptions& options, std::uint64_t connection,
                              bool infill) {
  CompletionRequest request;
  AnswerRequest& answer = request.answer;
  answer.options = read_options(body, options, connection);
  if (infill) {
    std::string before = extra_of(body) + text_member(body, "input_prefix").value_or("") +
                         text_member(body, "prompt").value_or("");
    fill_in(answer, std::move(before), text_member(body, "input_suffix").value_or(""));
  } else {
    read_prompts(body, answer);
    if (answer.sources.size() > 1)
      throw cannot_serve("prompt", "several at once are answered by /v1/completions");
  }
  answer.stream = flag_member(body, "stream").value_or(false);
  answer.progress = flag_member(body, "return_progress").value_or(false);
  answer.max_prompt_time = time_member(body, "t_max_prompt_ms");
  answer.max_answer_time = time_member(body, "t_max_predict_ms");
  request.indent = integer_member(body, "n_indent", 0, 10'000).value_or(0);
  if (const json* fields = lsp::find(body, "response_fields")) {
    if (!fields->is_array()) throw bad_member("response_fields", "is no list of names");
    for (const json& field : *fields) {
      if (!field.is_string()) throw bad_member("response_fields", "is no list of names");
      request.fields.push_back(field.get<std::string>());
    }
  }
  return request;
}

void fit_fim(lsp::Prompt& prompt, const FimRoom& room) {
  std::string& before = prompt.prefix.front().text;
  std::string& behind = prompt.suffix.front().text;
  const auto most_before =
      static_cast<std::size_t>(std::max<std::int64_t>(room.prefix, 4) * bytes_of_token);
  const auto most_behind =
      static_cast<std::size_t>(std::max<std::int64_t>(room.suffix, 1) * bytes_of_token);
  if (before.size() > most_before) {
    const std::size_t part = most_before / 4;
    const std::size_t parts = (before.size() - most_before + part - 1) / part;
    before.erase(0, next_line(before, parts * part));
  }
  if (behind.size() > most_behind) {
    const std::size_t line = behind.rfind('\n', most_behind - 1);
    behind.resize(line == behind.npos ? most_behind : line + 1);
  }
}

}  // namespace hearth::daemon
