// lsp::Model of inline completions beside a large model: a small one serves them, and where it
// cannot, the large one does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lsp/support/model.hpp"

namespace hearth::daemon {

// On the Host's thread. Which of the two serves is known once describe() was answered, and what was
// begun on one stays there.
class CompletionModel : public lsp::Model {
 public:
  // Both outlive it, or use(). `refused`: told that the large one serves, with why, where the small
  // one cannot be loaded or was not trained to complete code. `by`: Answer::by of either, where it
  // does not sign itself.
  CompletionModel(lsp::Model& small, lsp::Model& large,
                  std::function<void(const std::string& why)> refused,
                  std::function<std::string(bool small)> by);

  bool small_serves() const { return serving_ == small_; }
  // Another small one, which serves from now on where it can; the one before it is done with.
  void use(lsp::Model& small);

  void describe(lsp::Callback<lsp::ModelDescription> done) override;
  lsp::LoadingProgress loading() const override;
  void count_tokens(std::vector<std::string> texts,
                    lsp::Callback<std::vector<std::int64_t>> done) override;
  void estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override;
  void inspect(lsp::Prompt prompt, const lsp::GenerateOptions& options,
               lsp::Callback<std::vector<lsp::PromptPiece>> done) override;
  std::optional<std::chrono::milliseconds> usual_time(
      lsp::Prompt::Kind kind, std::int64_t prompt_tokens,
      const lsp::GenerateOptions& options) const override;
  lsp::GenerationId prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override;
  lsp::GenerationId generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                             lsp::GenerationEvents events) override;
  void cancel(lsp::GenerationId id) override;

 private:
  void refuse(const std::string& why);
  lsp::GenerationId own_id(lsp::GenerationId id) const;

  lsp::Model* small_;
  lsp::Model& large_;
  lsp::Model* serving_;
  const std::function<void(const std::string&)> refused_;
  const std::function<std::string(bool)> by_;
};

}  // namespace hearth::daemon
