// Loads an engine in this process and streams one answer.
#include "daemon/commands/local_run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "daemon/config.hpp"
#include "daemon/engine_options.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/paths.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

std::string speed(std::size_t tokens, std::chrono::duration<double> time) {
  if (tokens == 0 || time.count() <= 0) return "";
  return ", " + show_speed(static_cast<double>(tokens) / time.count());
}

// "thinking, 120 tokens" on stderr, as long as nothing else is to be seen.
class ThoughtLine {
 public:
  explicit ThoughtLine(bool wanted) : wanted_(wanted) {}
  ThoughtLine(const ThoughtLine&) = delete;
  ThoughtLine& operator=(const ThoughtLine&) = delete;
  ~ThoughtLine() { clear(); }

  void show(std::size_t tokens) {
    constexpr std::chrono::milliseconds interval{200};
    if (!wanted_ || (open_ && Clock::now() - shown_ < interval)) return;
    shown_ = Clock::now();
    open_ = true;
    std::fprintf(stderr, "\r\x1b[Kthinking, %s",
                 show_count(static_cast<std::int64_t>(tokens), "token").c_str());
  }
  void clear() {
    if (std::exchange(open_, false)) std::fputs("\r\x1b[K", stderr);
  }

 private:
  bool wanted_;
  bool open_ = false;
  Clock::time_point shown_;
};

}  // namespace

std::filesystem::path model_directory(const std::string& override) {
  return find_model(read_config(find_paths().config), override);
}

engine::EngineOptions configured_options(const std::string& model) {
  const Config config = read_config(find_paths().config);
  return engine_options(config, find_model(config, model), {});
}

void require_tokenizer(const std::filesystem::path& model) {
  std::error_code ignored;
  if (std::filesystem::exists(model / "tokenizer.json", ignored)) return;
  throw Error(model.string() +
              " has no tokenizer.json: it can be benchmarked, but cannot process text");
}

std::shared_ptr<engine::Runtime> load_with_progress(const engine::EngineOptions& options,
                                                    bool show_progress) {
  auto shown = Clock::now();
  bool line_open = false;
  const auto report = [&](const engine::LoadProgress& progress) {
    const auto now = Clock::now();
    if (!show_progress || now - shown < std::chrono::milliseconds(200)) return;
    shown = now;
    line_open = true;
    std::fprintf(stderr, "\r\x1b[Kloading %s of %s",
                 show_bytes(static_cast<double>(progress.bytes_done)).c_str(),
                 show_bytes(static_cast<double>(progress.bytes_total)).c_str());
  };
  auto runtime = engine::Runtime::load(options, report);
  if (line_open) std::fputs("\r\x1b[K", stderr);
  return runtime;
}

std::string show_checkpoint(const engine::CheckpointShape& shape) {
  return fmt::format("{} layers of {} experts, {}{}, context {}", shape.config.num_layers(),
                     shape.config.num_experts,
                     shape.form == engine::WeightForm::fp8 ? "FP8" : "BF16",
                     shape.mtp ? ", MTP head" : "", shape.context);
}

void set_thinking(engine::GenerationRequest& request, const engine::Profile& profile) {
  request.thinking = profile.thinking;
  request.thinking_budget = read_config(find_paths().config).thinking_budget;
}

Outcome answer(engine::Session& session, engine::GenerationRequest request, bool show_progress) {
  const InterruptFlag interrupt;
  ThoughtLine thought_line(show_progress);
  engine::Generation generation(session, std::move(request));
  Outcome outcome;
  outcome.prompt_tokens = generation.prompt_tokens();
  auto progress = engine::Progress::more;
  while (progress == engine::Progress::more) {
    const bool decoding = generation.decoding();
    const auto started = Clock::now();
    progress = generation.step(&interrupt.flag());
    (decoding ? outcome.answer_time : outcome.prompt_time) += Clock::now() - started;
    if (generation.decoding() && generation.thinking()) {
      thought_line.show(generation.thought_tokens());
    }
    const std::string text = generation.take_text();
    outcome.text += text;
    if (text.empty()) continue;
    thought_line.clear();
    std::fputs(printable(text).c_str(), stdout);
    std::fflush(stdout);
  }
  outcome.cached_tokens = generation.cached_tokens();
  outcome.thought_tokens = generation.thought_tokens();
  outcome.thought_cut = generation.thought_cut();
  outcome.answer_tokens = generation.answer_tokens();
  outcome.interrupted = progress == engine::Progress::interrupted;
  outcome.reason = generation.reason();
  return outcome;
}

std::string show_outcome(const Outcome& outcome) {
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
  if (outcome.interrupted) line += ", stopped";
  if (outcome.thought_cut) line += ", the thought cut (thinking.budget)";
  if (outcome.reason == engine::StopReason::max_tokens) line += ", the answer cut (--max-tokens)";
  if (outcome.reason == engine::StopReason::context_full) line += ", cut: the context is full";
  if (outcome.text.empty() && !outcome.interrupted) line += ", the answer is empty";
  return line;
}

std::string quoted_bytes(std::string_view bytes) {
  std::string text = "\"";
  for (const char c : bytes) {
    if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (c == '\r') {
      text += "\\r";
    } else if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else {
      text += c;
    }
  }
  return text + "\"";
}

}  // namespace hearth::daemon
