// The choice between the daemon and this process, and an answer as it is shown.
#include "daemon/commands/answerer.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/config.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/lock.hpp"
#include "daemon/platform/paths.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// What loading a model takes: "up to 3.2 GB of memory, about 4 s".
std::string cost_of(const engine::EngineOptions& options) {
  constexpr double measured_seconds = 0.1;
  const engine::CheckpointShape shape = engine::read_shape(options);
  const engine::Costs costs = engine::costs_of(shape.config, shape.form);
  const engine::MemoryPlan plan = engine::plan_memory(
      costs, options, shape.config, shape.context, engine::read_memory(), options.model.string());
  const std::uint64_t bytes = plan.dense + plan.shortlist + plan.kv + plan.states + plan.prefixes +
                              plan.scratch + plan.experts;
  const double speed = engine::read_speed(options.model, measured_seconds).bytes_per_second;
  const double seconds = std::ceil(static_cast<double>(plan.dense) / std::max(speed, 1.0));
  return fmt::format("up to {} of memory, about {:.0f} s", show_bytes(static_cast<double>(bytes)),
                     seconds);
}

struct Choice {
  std::optional<Connected> daemon;  // which is to answer; empty: this process is
  std::string why_local;            // where that is to be said; else empty
};

Choice choose(const AnswererOptions& options, const fs::path& model) {
  if (options.local) return {std::nullopt, "--local"};
  if (!options.trace.empty() || !options.draft.empty()) {
    const bool runs = holder(find_paths().lock()).has_value();
    const char* why = options.trace.empty() ? "--draft drafts in this process"
                                            : "--trace records in this process";
    return {std::nullopt, runs ? why : ""};
  }
  auto control = find_daemon(find_paths(), ConnectionKind::control, command_timeout);
  if (!control) return {};
  if (same_model(control->welcome.model, model)) return {std::move(control), ""};
  return {std::nullopt, "the daemon has another model, " + control->welcome.model};
}

// A configured server is the daemon's to ask: it knows what that can do, and waits for it.
bool asks_a_server(const AnswererOptions& options) {
  const bool here =
      options.local || !options.model.empty() || !options.trace.empty() || !options.draft.empty();
  return !here && !read_config(find_paths().config).model_remote.url.empty();
}

// One line on stderr, as long as nothing else is to be seen.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted) : wanted_(wanted) {}
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { clear(); }

  // A new phase at once, as no more may be heard of it; how far one is now and then.
  void show(lsp::GenerationProgress::Phase phase, const std::string& text) {
    constexpr std::chrono::milliseconds interval{200};
    if (!wanted_ || (phase == phase_ && Clock::now() - shown_ < interval)) return;
    phase_ = phase;
    shown_ = Clock::now();
    open_ = true;
    std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  }
  void clear() {
    if (std::exchange(open_, false)) std::fputs("\r\x1b[K", stderr);
  }

 private:
  bool wanted_;
  bool open_ = false;
  std::optional<lsp::GenerationProgress::Phase> phase_;  // that was shown last
  Clock::time_point shown_;
};

// ", about 12 s", where that is known.
std::string wait_of(const lsp::GenerationProgress& progress) {
  const auto time = progress.first_token ? progress.first_token : progress.eta;
  return time ? ", about " + show_time(*time) : "";
}

std::string show_progress_of(const lsp::GenerationProgress& progress) {
  using Phase = lsp::GenerationProgress::Phase;
  switch (progress.phase) {
    case Phase::loading:
      return "loading the model" + wait_of(progress);
    case Phase::queued:
      return progress.ahead == 0
                 ? "waiting"
                 : "waiting for " + show_count(progress.ahead, "other request") + wait_of(progress);
    case Phase::prefilling:
      return fmt::format("reading {:.0f} of {}", progress.prompt_done,
                         show_count(progress.prompt_tokens, "token"));
    case Phase::thinking:
      return "thinking, " + show_count(progress.thought_tokens, "token");
    case Phase::generating:
      break;
  }
  return "";
}

std::string speed(std::size_t tokens, std::chrono::duration<double> time) {
  if (tokens == 0 || time.count() <= 0) return "";
  return ", " + show_speed(static_cast<double>(tokens) / time.count());
}

}  // namespace

bool same_model(const fs::path& one, const fs::path& other) {
  std::error_code unknown;
  return one == other || fs::equivalent(one, other, unknown);
}

void choose_thinking(lsp::GenerateOptions& options, const std::string& chosen) {
  const Config config = read_config(find_paths().config);
  options.thinking = lsp::thinking_asked(config.thinking_mode, {});
  if (!chosen.empty()) options.thinking = chosen == "on";
  options.thinking_budget = config.thinking_budget;
}

std::unique_ptr<Answerer> choose_answerer(const AnswererOptions& options) {
  const bool show_progress = !options.quiet && ::isatty(STDERR_FILENO) == 1;
  if (asks_a_server(options)) {
    Connected control = connect_or_start(find_paths(), ConnectionKind::control, {});
    const fs::path model = control.welcome.model;
    return daemon_answerer(std::move(control), model, show_progress);
  }
  engine::EngineOptions engine = configured_options(options.model);
  require_tokenizer(engine.model);
  Choice choice = choose(options, engine.model);
  if (choice.daemon) {
    return daemon_answerer(std::move(*choice.daemon), engine.model, show_progress);
  }
  engine.experts.trace = options.trace;
  std::optional<engine::EngineOptions> draft;
  std::string drafts_cost;
  if (!options.draft.empty()) {
    draft = draft_options(engine, options.draft);
    engine.drafts = draft->drafts;  // where they are configured to be off, too
    drafts_cost = "; for its drafts " + draft->model.string() + ", " + cost_of(*draft);
  }
  if (!choice.why_local.empty() && !options.quiet) {
    std::fprintf(stderr, "%s\n",
                 wrapped(choice.why_local + ": loading " + engine.model.string() +
                             " in this process, " + cost_of(engine) + drafts_cost,
                         terminal_columns())
                     .c_str());
  }
  return local_answerer(engine, draft, show_progress);
}

AnswerOutcome stream_answer(Answerer& answerer, const lsp::Prompt& prompt,
                            const lsp::GenerateOptions& options, bool show_progress) {
  const InterruptFlag interrupt;
  ProgressLine line(show_progress);
  bool text_shown = false;
  Answerer::Events events;
  events.on_progress = [&](const lsp::GenerationProgress& progress) {
    if (const std::string text = show_progress_of(progress); !text.empty())
      line.show(progress.phase, text);
  };
  events.on_text = [&](const std::string& text) {
    line.clear();
    text_shown = true;
    std::fputs(printable(text).c_str(), stdout);
    std::fflush(stdout);
  };
  try {
    AnswerOutcome outcome = answerer.answer(prompt, options, events, interrupt.flag());
    std::fputs("\n", stdout);
    return outcome;
  } catch (...) {
    line.clear();
    if (text_shown) std::fputs("\n", stdout);
    std::fflush(stdout);
    throw;
  }
}

std::string show_outcome(const AnswerOutcome& outcome) {
  const auto tokens = [](std::size_t count) {
    return show_count(static_cast<std::int64_t>(count), "token");
  };
  const std::size_t read = outcome.prompt_tokens - outcome.cached_tokens;
  const std::size_t all = outcome.thought_tokens + outcome.answer_tokens;
  // The first token comes with the prompt's last step.
  const std::size_t written = all > 0 ? all - 1 : 0;
  std::string line = tokens(outcome.prompt_tokens) + " of prompt (" +
                     std::to_string(outcome.cached_tokens) + " cached" +
                     speed(read, outcome.prompt_time) + "), ";
  if (outcome.thought_tokens > 0) line += tokens(outcome.thought_tokens) + " of thought, ";
  line += tokens(outcome.answer_tokens) + " of answer" + speed(written, outcome.answer_time);
  if (outcome.drafts) {
    line += ", " + std::to_string(outcome.drafts->second) + " of " +
            show_count(static_cast<std::int64_t>(outcome.drafts->first), "draft token") + " right";
  }
  if (outcome.interrupted) line += ", stopped";
  if (outcome.thought_cut) line += ", the thought cut (thinking.budget)";
  if (outcome.finish == lsp::FinishReason::length) line += ", the answer cut (--max-tokens)";
  if (outcome.finish == lsp::FinishReason::context_full) line += ", cut: the context is full";
  if (outcome.text.empty() && !outcome.interrupted) line += ", the answer is empty";
  if (!outcome.by.empty()) line += ", by " + outcome.by;
  return line;
}

}  // namespace hearth::daemon
