// Answers of /v1/completions ("text_completion"), and of llama.cpp's /completion and /infill.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/serve/answering.hpp"

namespace hearth::daemon {

// Each prompt's answer is a choice; where prompts are told, it begins with its prompt.
class CompletionFormat : public AnswerFormat {
 public:
  CompletionFormat(std::string model, std::chrono::system_clock::time_point created, bool usage);

  void prompt(std::string text) override { prompts_.push_back(std::move(text)); }
  Events begin() override;
  Events thought(const std::string&) override { return {}; }
  Events text(const std::string& more) override;
  void probabilities(std::vector<lsp::TokenProbability> told) override;
  Events progress(nlohmann::json prompt_progress) override;
  Events next(const lsp::Answer& answer) override;
  Events end(const lsp::Answer& answer) override;
  nlohmann::json whole(const lsp::Answer& answer) override;

 private:
  nlohmann::json object(nlohmann::json choices) const;
  nlohmann::json choice(const std::string& text, nlohmann::json finish);
  nlohmann::json take_probabilities();
  std::string prompt() const;
  lsp::Answer add(const lsp::Answer& answer);

  const std::string id_;
  const std::string model_;
  const std::int64_t created_;
  const bool usage_;
  std::vector<std::string> prompts_;
  std::size_t index_ = 0;                             // of the present choice
  nlohmann::json choices_ = nlohmann::json::array();  // before it, of an answer that is whole
  lsp::Answer sum_;                                   // of the answers before it: what they cost
  nlohmann::json probabilities_ = nullptr;            // not written yet; null: none were asked for
  std::size_t offset_ = 0;  // of the next token, in characters of the choice
};

// How long what took, as llama.cpp's server says it.
nlohmann::json timings_json(const lsp::Answer& answer);

class InfillFormat : public AnswerFormat {
 public:
  // `indent`, `fields`: as CompletionRequest has them.
  InfillFormat(std::string model, std::int64_t indent, std::vector<std::string> fields);

  Events begin() override { return {}; }
  Events thought(const std::string&) override { return {}; }
  Events text(const std::string& more) override;
  Events progress(nlohmann::json prompt_progress) override;
  Events end(const lsp::Answer& answer) override;
  nlohmann::json whole(const lsp::Answer& answer) override;
  bool marks_end() const override { return false; }
  void watch(const std::string& more) override { static_cast<void>(text(more)); }
  bool complete() const override { return complete_; }

 private:
  nlohmann::json result(const std::string& content, const lsp::Answer& answer) const;
  nlohmann::json chosen(nlohmann::json result) const;

  const std::string model_;
  const std::int64_t indent_;
  const std::vector<std::string> fields_;
  std::string written_;    // all of it
  std::size_t shown_ = 0;  // of it, so far
  bool complete_ = false;  // the rest of it is not shown
};

}  // namespace hearth::daemon
