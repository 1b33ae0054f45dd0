// The three asynchronous steps to a prompt.
#include "lsp/context/planning.hpp"

#include <exception>
#include <memory>
#include <utility>

#include "lsp/support/failure.hpp"

namespace hearth::lsp {
namespace {

struct Work {
  std::shared_ptr<TokenCounts> counts;
  std::function<ContextPlan(const ModelProfile&)> make_plan;
  Callback<Planned> done;
  ModelCapabilities capabilities = {};
  ContextPlan plan = {};
  std::string failure = {};
};

void fit(Work& work, const Result<std::vector<std::int64_t>>& counts) {
  if (const auto* error = std::get_if<ModelError>(&counts)) {
    work.done(*error);
    return;
  }
  const auto& tokens = std::get<std::vector<std::int64_t>>(counts);
  Prompt prompt = work.plan.fit(tokens);
  std::vector<ContextPiece> left_out = work.plan.pieces(tokens);
  std::erase_if(left_out, [](const ContextPiece& piece) { return piece.left_out.empty(); });
  work.done(Planned{std::move(work.plan), std::move(prompt), std::move(left_out)});
}

void count(const std::shared_ptr<Work>& work) {
  if (!work->failure.empty()) {
    work->done(ModelError{work->failure});
    return;
  }
  work->counts->count(work->capabilities, work->plan.texts(),
                      [work](const auto& counts) { fit(*work, counts); });
}

// On another thread, where an exception would end the process.
void plan(Work& work, const ModelProfile& profile) {
  try {
    work.plan = work.make_plan(profile);
    work.failure = work.plan.refused();
  } catch (const std::exception& error) {
    work.failure = "the context could not be chosen: " + failure_text(error);
  }
}

}  // namespace

void make_prompt(Host& host, Model& model, std::shared_ptr<TokenCounts> counts,
                 std::function<ContextPlan(const ModelProfile&)> make_plan,
                 Callback<Planned> done) {
  auto work =
      std::make_shared<Work>(Work{std::move(counts), std::move(make_plan), std::move(done)});
  model.describe([&host, work](const Result<ModelDescription>& description) {
    if (const auto* error = std::get_if<ModelError>(&description)) {
      work->done(*error);
      return;
    }
    const auto& model_is = std::get<ModelDescription>(description);
    work->capabilities = model_is.capabilities;
    work->counts->counted_by(model_is.identity);
    host.background([work, profile = model_is.profile] { plan(*work, profile); },
                    [work] { count(work); });
  });
}

}  // namespace hearth::lsp
