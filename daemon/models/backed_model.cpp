// BackedModel: who is asked, and how work changes hands.
#include "daemon/models/backed_model.hpp"

#include <utility>
#include <variant>

#include "daemon/models/signature.hpp"

namespace hearth::daemon {

namespace {

// Turns as their text: their tokens may be the other one's.
lsp::Prompt without_tokens(lsp::Prompt prompt) {
  for (lsp::Message& message : prompt.messages) message.generated.clear();
  return prompt;
}

}  // namespace

BackedModel::BackedModel(lsp::Model& first, Behind behind, std::function<bool()> away)
    : first_(first), behind_(std::move(behind)), away_(std::move(away)) {}

void BackedModel::look() {
  if (!away_()) return;
  for (const auto& description : std::exchange(descriptions_, {})) {
    if (std::exchange(description->answered, true)) continue;
    behind_.model.describe(description->done);
  }
  std::vector<lsp::GenerationId> waiting;
  for (const auto& [id, work] : works_) {
    if (work.by == &first_ && work.prompt && !work.begun) waiting.push_back(id);
  }
  for (const lsp::GenerationId id : waiting) {
    const auto found = works_.find(id);
    if (found == works_.end()) continue;
    const lsp::GenerationId there = found->second.id;
    ask(id, behind_.model);
    first_.cancel(there);
  }
}

void BackedModel::describe(lsp::Callback<lsp::ModelDescription> done) {
  if (away_()) return behind_.model.describe(std::move(done));
  const auto description = std::make_shared<Description>(Description{false, std::move(done)});
  descriptions_.push_back(description);
  first_.describe([this, description](const lsp::Result<lsp::ModelDescription>& result) {
    if (std::exchange(description->answered, true)) return;
    std::erase(descriptions_, description);
    const auto* const first = std::get_if<lsp::ModelDescription>(&result);
    if (first == nullptr) return behind_.model.describe(description->done);
    lsp::ModelDescription both = *first;
    both.identity += " or " + behind_.key;
    description->done(std::move(both));
  });
}

lsp::LoadingProgress BackedModel::loading() const {
  return serving().loading();
}

void BackedModel::count_tokens(std::vector<std::string> texts,
                               lsp::Callback<std::vector<std::int64_t>> done) {
  serving().count_tokens(std::move(texts), std::move(done));
}

void BackedModel::estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  serving().estimate(without_tokens(std::move(prompt)), std::move(done));
}

void BackedModel::inspect(lsp::Prompt prompt, const lsp::GenerateOptions& options,
                          lsp::Callback<std::vector<lsp::PromptPiece>> done) {
  serving().inspect(without_tokens(std::move(prompt)), options, std::move(done));
}

std::optional<std::chrono::milliseconds> BackedModel::usual_time(
    lsp::Prompt::Kind kind, std::int64_t prompt_tokens, const lsp::GenerateOptions& options) const {
  return serving().usual_time(kind, prompt_tokens, options);
}

lsp::GenerationId BackedModel::prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  const lsp::GenerationId id = ++last_;
  lsp::Model& by = serving();
  Work& work = works_[id];
  work.by = &by;
  const lsp::GenerationId there =
      by.prefill(without_tokens(std::move(prompt)),
                 [this, id, done = std::move(done)](const lsp::Result<lsp::Estimate>& result) {
                   works_.erase(id);
                   done(result);
                 });
  if (const auto found = works_.find(id); found != works_.end()) found->second.id = there;
  return id;
}

lsp::GenerationId BackedModel::generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                                        lsp::GenerationEvents events) {
  const lsp::GenerationId id = ++last_;
  Work& work = works_[id];
  work.prompt = std::make_shared<const lsp::Prompt>(without_tokens(std::move(prompt)));
  work.options = std::move(options);
  work.events = std::move(events);
  ask(id, serving());
  return id;
}

// Events of an attempt that no longer counts reach nobody.
void BackedModel::ask(lsp::GenerationId id, lsp::Model& by) {
  Work& work = works_.at(id);
  work.by = &by;
  work.id = 0;
  if (!work.options.written.empty() && &by != writer(work.options)) {
    work.options.written.clear();
    work.anew = true;
  }
  const std::uint64_t attempt = ++work.attempt;
  // `tell`: the event of those who asked; `begins`: it is a word of the answer.
  const auto passed_on = [this, id, attempt](auto tell, bool begins) {
    return [this, id, attempt, tell = std::move(tell), begins](auto&&... told) {
      Work* const now = heard_of(id, attempt);
      if (now == nullptr) return;
      now->begun = now->begun || begins;
      if (tell) tell(std::forward<decltype(told)>(told)...);
    };
  };
  lsp::GenerationEvents events;
  events.on_progress = passed_on(work.events.on_progress, false);
  events.on_text = passed_on(work.events.on_text, true);
  events.on_tokens = passed_on(work.events.on_tokens, true);
  events.on_thought = passed_on(work.events.on_thought, true);
  events.on_probabilities = passed_on(work.events.on_probabilities, true);
  if (work.events.on_restart) {
    events.on_restart = [this, id, attempt] {
      Work* const now = heard_of(id, attempt);
      if (now == nullptr) return;
      now->begun = false;
      now->events.on_restart();
    };
  }
  events.on_done = [this, id, attempt](lsp::Result<lsp::Answer> result) {
    done(id, attempt, std::move(result));
  };
  if (&by == &behind_.model) events = signed_by(std::move(events), behind_.by);
  const lsp::GenerationId there = by.generate(*work.prompt, work.options, std::move(events));
  if (Work* const now = current(id, attempt); now != nullptr) now->id = there;
}

const lsp::Model* BackedModel::writer(const lsp::GenerateOptions& options) const {
  if (options.written_by.empty()) return nullptr;
  return is_signed_here(options.written_by) ? &behind_.model : &first_;
}

BackedModel::Work* BackedModel::current(lsp::GenerationId id, std::uint64_t attempt) {
  const auto found = works_.find(id);
  return found != works_.end() && found->second.attempt == attempt ? &found->second : nullptr;
}

BackedModel::Work* BackedModel::heard_of(lsp::GenerationId id, std::uint64_t attempt) {
  Work* const work = current(id, attempt);
  if (work == nullptr || !std::exchange(work->anew, false)) return work;
  if (const auto restart = work->events.on_restart) restart();
  return current(id, attempt);
}

void BackedModel::done(lsp::GenerationId id, std::uint64_t attempt,
                       lsp::Result<lsp::Answer> result) {
  Work* const work = heard_of(id, attempt);
  if (work == nullptr) return;
  const auto* const error = std::get_if<lsp::ModelError>(&result);
  const bool unavailable = error != nullptr && error->kind == lsp::ModelError::Kind::unavailable;
  if (unavailable && work->by == &first_ && !work->begun) return ask(id, behind_.model);
  const lsp::Callback<lsp::Answer> on_done = std::move(work->events.on_done);
  works_.erase(id);
  on_done(std::move(result));
}

void BackedModel::cancel(lsp::GenerationId id) {
  const auto found = works_.find(id);
  if (found != works_.end()) found->second.by->cancel(found->second.id);
}

}  // namespace hearth::daemon
