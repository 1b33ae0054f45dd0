// CompletionModel: asks the small model as long as it can, then the large one.
#include "daemon/models/completion_model.hpp"

#include <utility>
#include <variant>

#include "daemon/models/signature.hpp"

namespace hearth::daemon {

CompletionModel::CompletionModel(lsp::Model& small, lsp::Model& large,
                                 std::function<void(const std::string&)> refused,
                                 std::function<std::string(bool)> by)
    : small_(&small),
      large_(large),
      serving_(&small),
      refused_(std::move(refused)),
      by_(std::move(by)) {}

void CompletionModel::use(lsp::Model& small) {
  small_ = serving_ = &small;
}

void CompletionModel::describe(lsp::Callback<lsp::ModelDescription> done) {
  if (!small_serves()) return large_.describe(std::move(done));
  small_->describe([this, asked = small_,
                    done = std::move(done)](const lsp::Result<lsp::ModelDescription>& result) {
    if (asked != small_) return describe(done);
    const auto* error = std::get_if<lsp::ModelError>(&result);
    if (error != nullptr) {
      refuse(error->message);
    } else if (std::get<lsp::ModelDescription>(result).profile.fim_prefix_tokens <= 0) {
      refuse("it was not trained to complete code");
    } else {
      return done(result);
    }
    large_.describe(done);
  });
}

void CompletionModel::refuse(const std::string& why) {
  if (std::exchange(serving_, &large_) != &large_) refused_(why);
}

lsp::LoadingProgress CompletionModel::loading() const {
  return serving_->loading();
}

void CompletionModel::count_tokens(std::vector<std::string> texts,
                                   lsp::Callback<std::vector<std::int64_t>> done) {
  serving_->count_tokens(std::move(texts), std::move(done));
}

void CompletionModel::estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  serving_->estimate(std::move(prompt), std::move(done));
}

void CompletionModel::inspect(lsp::Prompt prompt, const lsp::GenerateOptions& options,
                              lsp::Callback<std::vector<lsp::PromptPiece>> done) {
  serving_->inspect(std::move(prompt), options, std::move(done));
}

std::optional<std::chrono::milliseconds> CompletionModel::usual_time(
    lsp::Prompt::Kind kind, std::int64_t prompt_tokens, const lsp::GenerateOptions& options) const {
  return serving_->usual_time(kind, prompt_tokens, options);
}

lsp::GenerationId CompletionModel::prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  return own_id(serving_->prefill(std::move(prompt), std::move(done)));
}

lsp::GenerationId CompletionModel::generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                                            lsp::GenerationEvents events) {
  events = signed_by(std::move(events), [by = by_, small = small_serves()] { return by(small); });
  return own_id(serving_->generate(std::move(prompt), std::move(options), std::move(events)));
}

void CompletionModel::cancel(lsp::GenerationId id) {
  (id % 2 == 0 ? *small_ : large_).cancel(id / 2);
}

// Both count from 1: an id says whose it is.
lsp::GenerationId CompletionModel::own_id(lsp::GenerationId id) const {
  return 2 * id + (small_serves() ? 0 : 1);
}

}  // namespace hearth::daemon
