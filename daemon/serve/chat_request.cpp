// Messages of every form that clients send, and what they say of thinking.
#include "daemon/serve/chat_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "daemon/serve/chat_tools.hpp"
#include "daemon/serve/response_form.hpp"
#include "daemon/serve/sampling_request.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t max_messages = 2000;

// A text, or parts that are texts.
std::string content_of(const json& message, const std::string& path) {
  const json* content = lsp::find(message, "content");
  if (content == nullptr) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array())
    throw bad_member(path + "content", "is neither a text nor a list of parts");
  std::string text;
  for (std::size_t i = 0; i < content->size(); ++i) {
    const json& part = (*content)[i];
    const std::string at = path + "content." + std::to_string(i);
    const std::string type = text_member(part, "type", at + ".").value_or("");
    if (type != "text" && type != "refusal")
      throw cannot_serve(at, "parts of the type \"" + type + "\" are none that this model reads");
    const auto more = text_member(part, type.c_str(), at + ".");
    if (!more) throw bad_member(at, "has no text");
    text += *more;
  }
  return text;
}

lsp::Message message_of(const json& given, const std::string& path) {
  if (!given.is_object()) throw bad_member(path.substr(0, path.size() - 1), "is no object");
  const std::string role = text_member(given, "role", path).value_or("");
  std::string content = content_of(given, path);
  if (role == "system" || role == "developer")
    return {lsp::Role::system, {{std::move(content), lsp::Provenance::system}}};
  if (role == "user")
    return {lsp::Role::user, {{std::move(content), lsp::Provenance::instruction}}};
  if (role == "tool") return {lsp::Role::tool, {{std::move(content), lsp::Provenance::attached}}};
  if (role != "assistant") {
    throw bad_member(path + "role",
                     "is none of \"system\", \"developer\", \"user\", \"assistant\" and \"tool\"");
  }
  lsp::Message message{lsp::Role::assistant, {{std::move(content), lsp::Provenance::answer}}};
  message.tool_calls = read_tool_calls(given, path);
  for (const char* name : {"reasoning", "reasoning_content"}) {
    if (auto thought = text_member(given, name, path)) message.thought = std::move(*thought);
  }
  return message;
}

std::vector<lsp::Message> messages_of(const json& body) {
  const json* given = lsp::find(body, "messages");
  if (given == nullptr || !given->is_array() || given->empty())
    throw bad_member("messages", "is no list of messages");
  if (given->size() > max_messages)
    throw bad_member("messages", "has more than " + std::to_string(max_messages) + " messages");
  std::vector<lsp::Message> messages;
  for (std::size_t i = 0; i < given->size(); ++i) {
    lsp::Message message = message_of((*given)[i], "messages." + std::to_string(i) + ".");
    // Templates have one system turn, at the beginning.
    const bool joins = message.role == lsp::Role::system && messages.size() == 1 &&
                       messages.front().role == lsp::Role::system;
    if (!joins) {
      messages.push_back(std::move(message));
      continue;
    }
    messages.front().segments.front().text += "\n\n" + message.segments.front().text;
  }
  return messages;
}

// Whether to think; empty: as the model and its user have it.
std::optional<bool> thinking_of(const json& body) {
  std::optional<bool> thinking = flag_member(body, "enable_thinking");
  if (const json* arguments = lsp::find(body, "chat_template_kwargs")) {
    if (!arguments->is_object()) throw bad_member("chat_template_kwargs", "is no object");
    if (const auto told = flag_member(*arguments, "enable_thinking", "chat_template_kwargs."))
      thinking = told;
  }
  if (const auto effort = text_member(body, "reasoning_effort")) {
    constexpr std::array<std::string_view, 6> efforts{"none",   "minimal", "low",
                                                      "medium", "high",    "xhigh"};
    const auto found = std::ranges::find(efforts, *effort);
    if (found == efforts.end())
      throw bad_member(
          "reasoning_effort",
          "is none of \"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\"");
    if (!thinking) thinking = found - efforts.begin() > 1;
  }
  return thinking;
}

// How many likely tokens are told beside each; −1: none, nor how likely it was itself.
int probabilities_of(const json& body) {
  const auto top = integer_member(body, "top_logprobs", 0, 20);
  if (flag_member(body, "logprobs").value_or(false)) return static_cast<int>(top.value_or(0));
  if (top.value_or(0) > 0) throw bad_member("top_logprobs", "needs \"logprobs\": true");
  return -1;
}

void refuse_other_modalities(const json& body) {
  if (const json* modalities = lsp::find(body, "modalities")) {
    if (*modalities != json::array({"text"}))
      throw cannot_serve("modalities", "text is all there is");
  }
}

// A last message of the assistant's is gone on with, behind what it says.
void continue_answer(AnswerRequest& answer) {
  const lsp::Message last = std::move(answer.prompt.messages.back());
  answer.prompt.messages.pop_back();
  if (!last.tool_calls.empty())
    throw bad_member("messages", "ends with calls of tools, without what came of them");
  if (answer.prompt.messages.empty())
    throw bad_member("messages", "has nothing that is to be answered");
  answer.begun = lsp::text_of(last.segments);
  // What is there is no thought.
  if (!answer.begun.empty()) answer.options.thinking = false;
}

// The names are the client's own.
std::string as_header(const std::vector<std::string>& names) {
  constexpr std::size_t most = 1000;
  std::string text = fmt::format("{}", fmt::join(names, ", "));
  text.resize(std::min(text.size(), most));
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

// Calls in the answer, and how it begins where there has to be one. `form`: what it is bound to
// where it calls none; empty: nothing.
void use_tools(ChatRequest& request, ToolUse use, std::string form) {
  AnswerRequest& answer = request.answer;
  for (const Tool& tool : use.tools) answer.prompt.tools.push_back(tool.declaration);
  request.tools = std::move(use.tools);
  request.either = !request.tools.empty() && use.begun.empty() && !form.empty();
  if (request.either) use.bound = request.tools;
  if (use.bound.empty()) {
    answer.options.json_schema = std::move(form);
    if (!request.tools.empty() && !use.several)
      answer.options.stop_strings.emplace_back(ToolCallParser::closing);
    return;
  }
  CallForm calls = form_of_calls(use.bound, use.several, request.either ? form : std::string());
  answer.options.json_schema = std::move(calls.form);
  if (!calls.unbound.empty())
    answer.headers.emplace_back("X-Hearth-Unbound", as_header(calls.unbound));
  if (use.begun.empty()) return;
  if (!answer.begun.empty())
    throw cannot_serve("tool_choice", "the last message is an answer that is to be continued");
  answer.begun = std::move(use.begun);
  answer.begun_special = true;
  answer.options.thinking = false;
}

}  // namespace

ChatRequest read_chat(const json& body, const std::string& text, const ApiOptions& options,
                      std::uint64_t connection) {
  refuse_other_modalities(body);
  ChatRequest request;
  AnswerRequest& answer = request.answer;
  answer.options = read_options(body, options, connection);
  request.stops = !answer.options.stop_strings.empty();
  // Clients count the thought, too.
  answer.options.max_all_tokens = answer.options.max_tokens;
  if (const auto thinking = thinking_of(body)) answer.options.thinking = thinking;
  answer.prompt.kind = lsp::Prompt::Kind::chat;
  answer.prompt.messages = messages_of(body);
  if (answer.prompt.messages.back().role == lsp::Role::assistant) continue_answer(answer);
  use_tools(request, read_tools(body, text), read_form(body, text));
  answer.options.top_probabilities = probabilities_of(body);
  answer.stream = flag_member(body, "stream").value_or(false);
  answer.progress = flag_member(body, "return_progress").value_or(false);
  if (const json* chosen = lsp::find(body, "stream_options")) {
    if (!chosen->is_object()) throw bad_member("stream_options", "is no object");
    request.usage = flag_member(*chosen, "include_usage", "stream_options.").value_or(false);
  }
  return request;
}

}  // namespace hearth::daemon
