// Steps of the scripted model.
#include "tests/lsp/scripted_model.hpp"

#include <utility>

namespace hearth::lsp::test {

void ScriptedModel::load() {
  profile.name = "scripted";
  profile.system_chat = "You are a programming assistant inside an editor.";
  profile.context_tokens = 4000;
  profile.fim_prefix_tokens = 2000;
  profile.fim_suffix_tokens = 500;
  loaded_ = true;
  for (const auto& done : std::exchange(waiting_, {})) answer_describe(done);
}

void ScriptedModel::fail_loading(std::string why) {
  load_error_ = std::move(why);
  for (const auto& done : std::exchange(waiting_, {})) answer_describe(done);
}

void ScriptedModel::describe(Callback<ModelDescription> done) {
  if (loaded_ || !load_error_.empty()) {
    answer_describe(done);
  } else {
    waiting_.push_back(std::move(done));
  }
}

void ScriptedModel::answer_describe(const Callback<ModelDescription>& done) {
  host_.post([this, done] {
    if (loaded_) {
      done(ModelDescription{profile, capabilities, identity});
    } else {
      done(ModelError{load_error_, ModelError::Kind::unavailable});
    }
  });
}

void ScriptedModel::count_tokens(std::vector<std::string> texts,
                                 Callback<std::vector<std::int64_t>> done) {
  ++count_calls;
  texts_counted += texts.size();
  std::vector<std::int64_t> counts;
  for (const std::string& text : texts)
    counts.push_back(static_cast<std::int64_t>(text.size() + 3) / 4);
  host_.post([done = std::move(done), counts = std::move(counts)] { done(counts); });
}

void ScriptedModel::estimate(Prompt, Callback<Estimate> done) {
  host_.post([done = std::move(done)] { done(Estimate{prompt_tokens, prompt_tokens, {}}); });
}

void ScriptedModel::inspect(Prompt prompt, const GenerateOptions&,
                            Callback<std::vector<PromptPiece>> done) {
  std::vector<PromptPiece> pieces;
  for (const Message& message : prompt.messages) {
    pieces.push_back({"<" + std::string(name(message.role)) + ">\n", 2, std::nullopt});
    for (const Segment& segment : message.segments) {
      pieces.push_back({segment.text, static_cast<std::int64_t>(segment.text.size() + 3) / 4,
                        segment.provenance});
    }
  }
  host_.post([done = std::move(done), pieces = std::move(pieces)] { done(pieces); });
}

GenerationId ScriptedModel::prefill(Prompt prompt, Callback<Estimate> done) {
  prefilled.push_back(prompt);
  estimate(std::move(prompt), std::move(done));
  return ++last_;
}

GenerationId ScriptedModel::generate(Prompt prompt, GenerateOptions wanted,
                                     GenerationEvents events) {
  const GenerationId id = ++last_;
  Running& running = running_[id];
  running.options = wanted;
  running.events = std::move(events);
  if (!answers_.empty()) {
    running.script = std::move(answers_.front());
    answers_.pop_front();
  }
  // What was written before the break counts as read.
  const auto thought = static_cast<std::size_t>(running.script.thought);
  running.thought = static_cast<int>(std::min(wanted.written.size(), thought));
  running.written = wanted.written.size() - static_cast<std::size_t>(running.thought);
  running.tokens = wanted.written;
  for (std::size_t i = 0; i < running.written; ++i) running.text += running.script.pieces.at(i);
  think(running);
  prompts.push_back(std::move(prompt));
  options.push_back(std::move(wanted));
  schedule(id);
  return id;
}

void ScriptedModel::cancel(GenerationId id) {
  if (!running_.contains(id)) return;
  cancelled.push_back(id);
  finish(id, ModelError{"cancelled", ModelError::Kind::cancelled});
}

void ScriptedModel::lose() {
  for (auto& [id, running] : running_) {
    running.thought = running.thought_said = 0;
    running.thought_text.clear();
    running.written = 0;
    running.text.clear();
    running.tokens.clear();
    host_.post(running.events.on_restart);
  }
}

void ScriptedModel::schedule(GenerationId id) {
  host_.after(step_time, [this, id] { step(id); });
}

void ScriptedModel::step(GenerationId id) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  ++steps;
  Running& running = found->second;
  if (!running.script.error.empty()) {
    finish(id, ModelError{running.script.error});
    return;
  }
  if (running.read < prompt_tokens) {
    running.read += read_a_step;
    report(running);
    schedule(id);
    return;
  }
  if (running.thought < running.script.thought && !running.thought_cut) {
    ++running.thought;
    think(running);
    write(running, 1'000 + running.thought);
    report(running);
    running.thought_cut = running.thought == running.options.thinking_budget &&
                          running.thought < running.script.thought;
    schedule(id);
    return;
  }
  if (running.written < running.script.pieces.size()) {
    const std::string piece = running.script.pieces[running.written++];
    running.text += piece;
    report(running);
    write(running, static_cast<std::int32_t>(running.written));
    if (running.events.on_text) {
      host_.post([on_text = running.events.on_text, piece] { on_text(piece); });
    }
  }
  const auto written = static_cast<std::int64_t>(running.written);
  const bool full = written == running.options.max_tokens;
  if (running.written < running.script.pieces.size() && !full) {
    schedule(id);
    return;
  }
  finish(id, Answer{.text = running.text,
                    .finish = full ? FinishReason::length : FinishReason::stop,
                    .prompt_tokens = prompt_tokens,
                    .cached_tokens = 0,
                    .thought_tokens = running.thought,
                    .thought_cut = running.thought_cut,
                    .answer_tokens = written,
                    .prompt_time = step_time * 2,
                    .answer_time = step_time * (running.thought + written),
                    .generated = generated.empty() ? running.tokens : generated,
                    .thought = running.thought_text,
                    .by = by});
}

// Says what of the thought was not said yet.
void ScriptedModel::think(Running& running) {
  std::string text;
  while (running.thought_said < running.thought)
    text += "Step " + std::to_string(++running.thought_said) + ". ";
  running.thought_text += text;
  if (text.empty() || !running.events.on_thought) return;
  host_.post([on_thought = running.events.on_thought, text] { on_thought(text); });
}

void ScriptedModel::write(Running& running, std::int32_t token) {
  running.tokens.push_back(token);
  if (!running.events.on_tokens || !tells_tokens) return;
  host_.post([on_tokens = running.events.on_tokens, token] { on_tokens({token}); });
}

void ScriptedModel::report(const Running& running) const {
  if (!running.events.on_progress) return;
  GenerationProgress progress;
  using Phase = GenerationProgress::Phase;
  progress.phase = running.written > 0   ? Phase::generating
                   : running.thought > 0 ? Phase::thinking
                                         : Phase::prefilling;
  progress.prompt_tokens = prompt_tokens;
  progress.prompt_done = running.read;
  progress.thought_tokens = running.thought;
  progress.answer_tokens = static_cast<std::int64_t>(running.written);
  progress.by = by;
  host_.post([on_progress = running.events.on_progress, progress] { on_progress(progress); });
}

void ScriptedModel::finish(GenerationId id, Result<Answer> result) {
  const Callback<Answer> done = std::move(running_.at(id).events.on_done);
  running_.erase(id);
  host_.post([done, result = std::move(result)] { done(result); });
}

}  // namespace hearth::lsp::test
