// Chunks: the role first, then pieces, then why it ended.
#include "daemon/serve/chat_format.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

namespace hearth::daemon {

using nlohmann::json;

namespace {

// All of an answer's text, with its calls apart.
lsp::Message parse(const ChatStyle& style, const std::string& text) {
  ToolCallParser parser(style.tools, style.either);
  std::vector<ToolEvent> events = parser.push(text);
  for (ToolEvent& event : parser.finish()) events.push_back(std::move(event));
  lsp::Message message{lsp::Role::assistant, {{{}, lsp::Provenance::answer}}};
  for (const ToolEvent& event : events) {
    if (event.kind == ToolEvent::Kind::text)
      message.segments.front().text += event.text;
    else if (event.kind == ToolEvent::Kind::call)
      message.tool_calls.push_back({event.text, {}});
    else
      message.tool_calls.back().arguments += event.text;
  }
  return message;
}

}  // namespace

std::string unique_id(const char* prefix) {
  constexpr std::string_view letters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  std::array<unsigned char, 24> random{};
  static_cast<void>(::getrandom(random.data(), random.size(), 0));
  std::string id = prefix;
  for (const unsigned char byte : random) id += letters[byte % letters.size()];
  return id;
}

json usage_json(const lsp::Answer& answer) {
  const std::int64_t written = answer.thought_tokens + answer.answer_tokens;
  return {{"prompt_tokens", answer.prompt_tokens},
          {"completion_tokens", written},
          {"total_tokens", answer.prompt_tokens + written},
          {"prompt_tokens_details", {{"cached_tokens", answer.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", answer.thought_tokens}}}};
}

const char* finish_name(lsp::FinishReason reason) {
  return reason == lsp::FinishReason::stop ? "stop" : "length";
}

ChatFormat::ChatFormat(ChatStyle style)
    : style_(std::move(style)), parser_(style_.tools, style_.either) {}

bool ChatFormat::begins_with_call() const {
  return !style_.tools.empty() && style_.begun.starts_with(ToolCallParser::opening);
}

json ChatFormat::object(const char* kind) const {
  const auto created =
      std::chrono::duration_cast<std::chrono::seconds>(style_.created.time_since_epoch());
  return {{"id", id_}, {"object", kind}, {"created", created.count()}, {"model", style_.model}};
}

void ChatFormat::probabilities(std::vector<lsp::TokenProbability> told) {
  const auto shown = [](const std::string& bytes, float logprob) {
    json numbers = json::array();
    for (const char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
    return json{{"token", bytes}, {"logprob", logprob}, {"bytes", std::move(numbers)}};
  };
  if (probabilities_.is_null()) probabilities_ = json::array();
  for (const lsp::TokenProbability& each : told) {
    json token = shown(each.bytes, each.logprob);
    token["top_logprobs"] = json::array();
    for (const auto& [bytes, logprob] : each.top)
      token["top_logprobs"].push_back(shown(bytes, logprob));
    probabilities_.push_back(std::move(token));
  }
}

json ChatFormat::take_probabilities() {
  if (probabilities_.is_null() || probabilities_.empty()) return nullptr;
  return {{"content", std::exchange(probabilities_, json::array())}, {"refusal", nullptr}};
}

json ChatFormat::chunk(json delta, json finish) {
  // The role comes before any token.
  json told = delta.contains("role") ? json(nullptr) : take_probabilities();
  json event = object("chat.completion.chunk");
  event["choices"] = json::array({{{"index", 0},
                                   {"delta", std::move(delta)},
                                   {"logprobs", std::move(told)},
                                   {"finish_reason", std::move(finish)}}});
  if (style_.usage) event["usage"] = nullptr;
  return event;
}

AnswerFormat::Events ChatFormat::begin() {
  Events events{
      chunk({{"role", "assistant"}, {"content", begins_with_call() ? json() : json("")}})};
  if (!begins_with_call()) return events;
  for (json& event : shown(parser_.push(style_.begun))) events.push_back(std::move(event));
  return events;
}

std::string ChatFormat::next_call_id() {
  return call_ids_.emplace_back(unique_id("call_"));
}

// As deltas: a call's name with its number and id, then its arguments.
AnswerFormat::Events ChatFormat::shown(const std::vector<ToolEvent>& parsed) {
  Events events;
  for (const ToolEvent& event : parsed) {
    if (event.kind == ToolEvent::Kind::text) {
      events.push_back(chunk({{"content", event.text}}));
      continue;
    }
    json call{{"function", {{"arguments", event.text}}}};
    if (event.kind == ToolEvent::Kind::call) {
      call = {{"id", next_call_id()},
              {"type", "function"},
              {"function", {{"name", event.text}, {"arguments", ""}}}};
    }
    call["index"] = static_cast<std::int64_t>(call_ids_.size()) - 1;
    events.push_back(chunk({{"tool_calls", json::array({std::move(call)})}}));
  }
  return events;
}

json ChatFormat::finish(const lsp::Answer& answer, std::size_t calls) const {
  const bool called = calls > 0 && answer.finish == lsp::FinishReason::stop;
  return called ? "tool_calls" : finish_name(answer.finish);
}

AnswerFormat::Events ChatFormat::thought(const std::string& more) {
  if (more.empty()) return {};
  return {chunk({{"reasoning_content", more}})};
}

AnswerFormat::Events ChatFormat::text(const std::string& more) {
  return shown(parser_.push(more));
}

AnswerFormat::Events ChatFormat::progress(json prompt_progress) {
  json event = chunk(json::object());
  event["prompt_progress"] = std::move(prompt_progress);
  return {std::move(event)};
}

AnswerFormat::Events ChatFormat::end(const lsp::Answer& answer) {
  Events events = shown(parser_.finish());
  events.push_back(chunk(json::object(), finish(answer, parser_.calls())));
  if (!style_.usage) return events;
  json last = object("chat.completion.chunk");
  last["choices"] = json::array();
  last["usage"] = usage_json(answer);
  events.push_back(std::move(last));
  return events;
}

lsp::Message ChatFormat::seen(const lsp::Answer& answer) const {
  lsp::Message message = parse(style_, answer.text);
  message.thought = answer.thought;
  const std::size_t known = std::min(message.tool_calls.size(), call_ids_.size());
  for (std::size_t i = 0; i < known; ++i) message.tool_calls[i].id = call_ids_[i];
  return message;
}

json ChatFormat::whole(const lsp::Answer& answer) {
  std::string text = answer.text;
  if (!begins_with_call()) text.erase(0, std::min(style_.begun.size(), text.size()));
  const lsp::Message parsed = parse(style_, text);
  const std::string content = lsp::text_of(parsed.segments);
  json calls = json::array();
  for (const lsp::ToolCall& call : parsed.tool_calls) {
    calls.push_back({{"id", next_call_id()},
                     {"type", "function"},
                     {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  json message{{"role", "assistant"}, {"content", content}, {"refusal", nullptr}};
  if (content.empty() && !calls.empty()) message["content"] = nullptr;
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  if (!answer.thought.empty()) message["reasoning_content"] = answer.thought;
  json result = object("chat.completion");
  result["choices"] = json::array({{{"index", 0},
                                    {"message", std::move(message)},
                                    {"logprobs", take_probabilities()},
                                    {"finish_reason", finish(answer, call_ids_.size())}}});
  result["usage"] = usage_json(answer);
  return result;
}

}  // namespace hearth::daemon
