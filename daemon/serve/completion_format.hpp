// Answers of /v1/completions ("text_completion"), and of llama.cpp's /completion and /infill.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/serve/answering.hpp"

namespace hearth::daemon {

class CompletionFormat : public AnswerFormat {
 public:
  CompletionFormat(std::string model, std::chrono::system_clock::time_point created, bool usage);

  Events begin() override { return {}; }
  Events thought(const std::string&) override { return {}; }
  Events text(const std::string& more) override;
  Events progress(nlohmann::json prompt_progress) override;
  Events end(const lsp::Answer& answer) override;
  nlohmann::json whole(const lsp::Answer& answer) override;

 private:
  nlohmann::json object(const std::string& text, nlohmann::json finish) const;

  const std::string id_;
  const std::string model_;
  const std::int64_t created_;
  const bool usage_;
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
