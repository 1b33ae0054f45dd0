// A completion's way from its prompt to its text and alternatives.
#include <algorithm>
#include <utility>

#include "lsp/completion/inline_completion.hpp"
#include "lsp/completion/text.hpp"
#include "lsp/protocol/constants.hpp"

namespace hearth::lsp {

void InlineCompletions::planned(CompletionId id, Result<Planned> result) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;  // stopped meanwhile
  if (const auto* error = std::get_if<ModelError>(&result)) {
    fail(entry, *error);
    return;
  }
  Completion& completion = entry->second;
  auto& [plan, prompt, left_out] = std::get<Planned>(result);
  suffix_ends_[completion.place.snapshot->uri] = plan.suffix_end(prompt);
  GenerationEvents events;
  events.on_progress = lifetime_.guard([this, id](const GenerationProgress& progress) {
    const Entry of = completions_.find(id);
    if (of != completions_.end()) of->second.progress = progress;
  });
  events.on_text = lifetime_.guard([this, id](const std::string& text) { wrote(id, text); });
  events.on_done =
      lifetime_.guard([this, id](Result<Answer> answer) { finished(id, std::move(answer)); });
  completion.prompt = std::make_shared<const Prompt>(std::move(prompt));
  completion.begun = session_.host.now();
  completion.generation = session_.completion_model.generate(
      *completion.prompt, options_at(completion.place), std::move(events));
  draw_alternatives(entry);
}

// Greedy; to the end of the line where the completion has to stay on it.
GenerateOptions InlineCompletions::options_at(const Place& place) const {
  const Text& document = *place.snapshot->text;
  GenerateOptions options;
  options.priority = Priority::inline_completion;
  options.client = session_.number();
  options.max_tokens = session_.options.inline_max_tokens;
  const bool one_line = stays_on_line(document.view({document.begin(), place.cursor}),
                                      document.view({place.cursor, Byte{document.str().size()}}));
  if (one_line) options.stop_strings = {"\n"};
  return options;
}

void InlineCompletions::wrote(CompletionId id, const std::string& text) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  Completion& completion = entry->second;
  const Place& place = completion.place;
  if (completion.answer) return;  // its node has closed
  if (completion.text.empty()) completion.first_text = session_.host.now();
  completion.text +=
      with_line_endings(place.snapshot->text->line_ending(place.cursor), valid_utf8(text));

  std::vector<Waiter> parted;
  std::vector<Waiter> along;
  for (Waiter& waiter : std::exchange(completion.waiters, {})) {
    (completion.agrees_with(waiter.typed) ? along : parted).push_back(std::move(waiter));
  }
  completion.waiters = std::move(along);
  const bool contradicted =
      completion.waiters.empty() && completion.place.selected.empty() && !typed_now(completion);
  if (!parted.empty() || contradicted) completion.keep = false;
  stop_unwanted(id);
  look_for_end(id);
  restart(std::move(parted));
}

// A model may write on behind the end of what its text belongs to: nobody waits for that. Looked
// for elsewhere, in whole lines, once at a time.
void InlineCompletions::look_for_end(CompletionId id) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  Completion& completion = entry->second;
  const std::size_t lines = completion.text.find_last_of("\r\n") + 1;  // npos + 1 is 0
  if (completion.answer || completion.looking || lines <= completion.looked_at) return;
  completion.looked_at = lines;
  completion.looking = true;
  const auto fitted = std::make_shared<FittedCompletion>();
  session_.host.background(
      [fitted, text = completion.text.substr(0, lines), syntax = session_.syntax,
       snapshot = completion.place.snapshot, cursor = completion.place.cursor] {
        *fitted = fitted_completion(text, false, *syntax, snapshot, cursor);
      },
      lifetime_.guard([this, id, fitted] { looked(id, std::move(*fitted)); }));
}

void InlineCompletions::looked(CompletionId id, FittedCompletion fitted_text) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  Completion& completion = entry->second;
  completion.looking = false;
  if (completion.answer) return;
  if (!fitted_text.closed) return look_for_end(id);
  session_.completion_model.cancel(*completion.generation);
  using std::chrono::floor;
  using std::chrono::milliseconds;
  Answer answer;
  answer.prompt_tokens = completion.progress.prompt_tokens;
  answer.cached_tokens = completion.progress.cached_tokens;
  answer.answer_tokens = completion.progress.answer_tokens;
  answer.prompt_time = floor<milliseconds>(completion.first_text - completion.begun);
  answer.answer_time = floor<milliseconds>(session_.host.now() - completion.first_text);
  answer.by = completion.progress.by;
  fitted(id, std::move(fitted_text.text), std::move(answer));
}

void InlineCompletions::finished(CompletionId id, Result<Answer> result) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end() || entry->second.answer) return;
  if (const auto* error = std::get_if<ModelError>(&result)) {
    fail(entry, *error);
    return;
  }
  const auto answer = std::make_shared<Answer>(std::move(std::get<Answer>(result)));
  session_.completion_counts->learn(bytes_of(*entry->second.prompt), answer->prompt_tokens);
  fit(entry->second.place, answer,
      [this, id, answer](std::string text) { fitted(id, std::move(text), *answer); });
}

// Makes of what the model wrote, elsewhere, what is worth inserting.
void InlineCompletions::fit(const Place& place, std::shared_ptr<const Answer> answer,
                            std::function<void(std::string)> then) {
  const auto text = std::make_shared<std::string>();
  session_.host.background(
      [text, answer, syntax = session_.syntax, snapshot = place.snapshot, cursor = place.cursor] {
        *text = fitted_completion(answer->text, answer->finish != FinishReason::stop, *syntax,
                                  snapshot, cursor)
                    .text;
      },
      lifetime_.guard([text, then = std::move(then)] { then(std::move(*text)); }));
}

void InlineCompletions::fitted(CompletionId id, std::string text, Answer answer_of_model) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end() || entry->second.answer) return;
  Completion& completion = entry->second;
  completion.answer = std::move(answer_of_model);
  completion.text = std::move(text);
  if (completion.waiters.empty()) announce(completion);
  answer_waiters(entry);
}

// Those who asked for it by hand wait for the alternatives too.
void InlineCompletions::answer_waiters(Entry entry) {
  Completion& completion = entry->second;
  std::vector<Waiter> parted;
  for (Waiter& waiter : std::exchange(completion.waiters, {})) {
    if (waiter.invoked && !completion.drawing.empty()) {
      completion.waiters.push_back(std::move(waiter));
    } else if (completion.agrees_with(waiter.typed)) {
      answer(std::move(waiter), entry, false);
    } else {
      parted.push_back(std::move(waiter));
    }
  }
  restart(std::move(parted));
}

void InlineCompletions::fail(Entry entry, const ModelError& error) {
  const std::string message = valid_utf8(error.message);
  if (error.kind != ModelError::Kind::cancelled)
    session_.host.log(LogLevel::warn, "inline completion: " + message);
  std::vector<Waiter> waiters = std::move(entry->second.waiters);
  stop_drawing(entry->second);
  completions_.erase(entry);
  for (Waiter& waiter : waiters) {
    if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
    if (waiter.invoked) {
      waiter.reply.error(error_code::request_failed, message);
    } else {
      waiter.reply.result(nullptr);
    }
  }
}

// Those who typed something else than the model wrote get a completion of their own.
void InlineCompletions::restart(std::vector<Waiter> waiters) {
  for (Waiter& waiter : waiters) {
    const Entry entry = find_or_start(waiter.place);
    waiter.typed =
        entry->second.typed_toward(*waiter.place.snapshot, waiter.place.cursor).value_or("");
    if (entry->second.answer && !(waiter.invoked && has_more_to_draw(entry->second))) {
      answer(std::move(waiter), entry, true);
    } else {
      wait(entry, std::move(waiter));
    }
  }
}

// How many candidates an invoked request may wait for: as many as are written, one after another,
// in the time that an automatic one is held.
std::size_t InlineCompletions::most_candidates(const Place& place) const {
  constexpr std::size_t most = 3;
  const auto usual =
      session_.completion_model.usual_time(Prompt::Kind::fill_in_the_middle, 0, options_at(place));
  if (!usual) return 1;
  const auto each = std::max(*usual, std::chrono::milliseconds{1});
  return std::clamp<std::size_t>(static_cast<std::size_t>(session_.options.inline_hold / each), 1,
                                 most);
}

bool InlineCompletions::has_more_to_draw(const Completion& completion) const {
  if (!completion.drawing.empty()) return true;
  return completion.prompt && !completion.drawn && most_candidates(completion.place) > 1;
}

// The first candidate is the likeliest text; the others are drawn, each from a seed of its own.
void InlineCompletions::draw_alternatives(Entry entry) {
  const CompletionId id = entry->first;
  Completion& completion = entry->second;
  const auto invoked = [](const Waiter& waiter) { return waiter.invoked; };
  const bool wanted = std::ranges::any_of(completion.waiters, invoked);
  if (!wanted || !completion.drawing.empty() || !has_more_to_draw(completion)) return;
  completion.drawn = true;
  const std::size_t most = most_candidates(completion.place);
  for (std::uint64_t seed = 1; seed < most; ++seed) {
    GenerateOptions options = options_at(completion.place);
    options.sampling = Sampling::recommended;
    options.seed = seed;
    GenerationEvents events;
    events.on_done = lifetime_.guard(
        [this, id, seed](Result<Answer> answer) { drew(id, seed, std::move(answer)); });
    completion.drawing[seed] = session_.completion_model.generate(
        *completion.prompt, std::move(options), std::move(events));
  }
}

void InlineCompletions::drew(CompletionId id, std::uint64_t seed, Result<Answer> result) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  if (std::holds_alternative<ModelError>(result)) return alternative(id, seed, {});
  const auto answer = std::make_shared<Answer>(std::move(std::get<Answer>(result)));
  fit(entry->second.place, answer,
      [this, id, seed](std::string text) { alternative(id, seed, std::move(text)); });
}

void InlineCompletions::alternative(CompletionId id, std::uint64_t seed, std::string text) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end() || entry->second.drawing.erase(seed) == 0) return;
  Completion& completion = entry->second;
  if (!text.empty()) completion.alternatives.push_back(std::move(text));
  if (completion.answer && completion.drawing.empty()) answer_waiters(entry);
}

void InlineCompletions::stop_drawing(Completion& completion) {
  for (const auto& [seed, generation] : std::exchange(completion.drawing, {})) {
    session_.completion_model.cancel(generation);
    completion.drawn = false;  // another time
  }
}

}  // namespace hearth::lsp
