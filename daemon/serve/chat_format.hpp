// Answers of /v1/chat/completions: "chat.completion" whole, "chat.completion.chunk" in pieces.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/serve/answering.hpp"
#include "daemon/serve/tool_calls.hpp"

namespace hearth::daemon {

// A name that no other answer has: the prefix and 24 random letters.
std::string unique_id(const char* prefix);

// {"prompt_tokens", "completion_tokens", "total_tokens", …} with cached and thought tokens.
nlohmann::json usage_json(const lsp::Answer& answer);
// "stop" or "length".
const char* finish_name(lsp::FinishReason reason);

struct ChatStyle {
  std::string model;
  std::chrono::system_clock::time_point created;  // when it was asked for
  bool usage = false;                             // a last event says what it cost
  std::vector<Tool> tools;                        // that may be called
  // What the answer begins with, as AnswerRequest has it: a call is a part of the answer, the
  // beginning of a text is not said again.
  std::string begun = {};
  bool either = false;  // the answer is calls or a text, not both
};

class ChatFormat : public AnswerFormat {
 public:
  explicit ChatFormat(ChatStyle style);

  Events begin() override;
  Events thought(const std::string& more) override;
  Events text(const std::string& more) override;
  void probabilities(std::vector<lsp::TokenProbability> told) override;
  Events progress(nlohmann::json prompt_progress) override;
  Events end(const lsp::Answer& answer) override;
  nlohmann::json whole(const lsp::Answer& answer) override;
  // What a client has of it, once it is written: text and calls, with what was begun.
  lsp::Message seen(const lsp::Answer& answer) const;

 private:
  nlohmann::json chunk(nlohmann::json delta, nlohmann::json finish = nullptr);
  nlohmann::json take_probabilities();
  nlohmann::json object(const char* kind) const;

  bool begins_with_call() const;
  std::string next_call_id();
  Events shown(const std::vector<ToolEvent>& events);
  nlohmann::json finish(const lsp::Answer& answer, std::size_t calls) const;

  const std::string id_ = unique_id("chatcmpl-");
  const ChatStyle style_;
  ToolCallParser parser_;
  std::vector<std::string> call_ids_;       // so far
  nlohmann::json probabilities_ = nullptr;  // that are not written yet; null: none were asked for
};

}  // namespace hearth::daemon
