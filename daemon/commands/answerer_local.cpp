// Answers of an engine in this process: what the daemon does for a request, without queue or
// others.
#include <algorithm>
#include <utility>

#include "daemon/commands/answerer.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/models/render.hpp"
#include "engine/draft_session.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

lsp::GenerationProgress progress_of(const engine::Generation& generation) {
  using Phase = lsp::GenerationProgress::Phase;
  lsp::GenerationProgress progress;
  progress.phase = !generation.decoding()  ? Phase::prefilling
                   : generation.thinking() ? Phase::thinking
                                           : Phase::generating;
  progress.prompt_tokens = static_cast<std::int64_t>(generation.prompt_tokens());
  progress.cached_tokens = static_cast<std::int64_t>(generation.cached_tokens());
  progress.prompt_done = generation.prompt_done();
  progress.thought_tokens = static_cast<std::int64_t>(generation.thought_tokens());
  progress.answer_tokens = static_cast<std::int64_t>(generation.answer_tokens());
  return progress;
}

class LocalAnswerer : public Answerer {
 public:
  // `small`: null, or what runs a model that drafts.
  LocalAnswerer(std::shared_ptr<engine::Runtime> runtime, std::shared_ptr<engine::Runtime> small)
      : runtime_(std::move(runtime)), session_(runtime_) {
    const engine::Engine& engine = runtime_->engine();
    if (small) drafts_.emplace(std::move(small), engine);
    model_ = {engine.profile().name, engine.description(), engine.profile().system_chat,
              static_cast<std::size_t>(engine.context()), engine.profile().thinking};
  }

  const AnsweringModel& model() const override { return model_; }

  std::size_t count_tokens(const lsp::Prompt& prompt) override {
    return render(runtime_->engine(), prompt).tokens.size();
  }

  AnswerOutcome answer(const lsp::Prompt& prompt, const lsp::GenerateOptions& options,
                       const Events& events, const std::atomic<bool>& interrupt) override {
    engine::GenerationRequest request = make_request(runtime_->engine(), prompt, options);
    request.drafts = drafts_ ? &*drafts_ : nullptr;
    engine::Generation generation(session_, std::move(request));
    AnswerOutcome outcome;
    auto progress = engine::Progress::more;
    while (progress == engine::Progress::more) {
      const bool decoding = generation.decoding();
      const auto started = Clock::now();
      progress = generation.step(&interrupt);
      (decoding ? outcome.answer_time : outcome.prompt_time) += Clock::now() - started;
      events.on_progress(progress_of(generation));
      outcome.thought += generation.take_thought();
      const std::string text = generation.take_text();
      outcome.text += text;
      if (!text.empty()) events.on_text(text);
    }
    outcome.prompt_tokens = generation.prompt_tokens();
    outcome.cached_tokens = generation.cached_tokens();
    outcome.thought_tokens = generation.thought_tokens();
    outcome.thought_cut = generation.thought_cut();
    outcome.answer_tokens = generation.answer_tokens();
    const engine::DecodeCounts& counts = generation.counts();
    if (drafts_) outcome.drafts.emplace(counts.drafted, counts.accepted);
    outcome.interrupted = progress == engine::Progress::interrupted;
    if (outcome.interrupted) return outcome;
    outcome.finish = finish_reason(*generation.reason());
    outcome.generated = generation.answer();
    return outcome;
  }

 private:
  std::shared_ptr<engine::Runtime> runtime_;
  engine::Session session_;
  std::optional<engine::DraftSession> drafts_;
  AnsweringModel model_;
};

}  // namespace

std::unique_ptr<Answerer> local_answerer(const engine::EngineOptions& options,
                                         const std::optional<engine::EngineOptions>& draft,
                                         bool show_progress) {
  // The small one first: the large one's experts take what is left.
  std::shared_ptr<engine::Runtime> small;
  if (draft) small = load_with_progress(*draft, show_progress);
  return std::make_unique<LocalAnswerer>(load_with_progress(options, show_progress),
                                         std::move(small));
}

}  // namespace hearth::daemon
