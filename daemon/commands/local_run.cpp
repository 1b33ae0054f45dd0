// Loading and answering without a daemon.
#include "daemon/in_process.hpp"

#include <unistd.h>

#include <cstdio>

#include "daemon/config.hpp"
#include "daemon/interrupt_flag.hpp"
#include "daemon/local_model.hpp"
#include "daemon/paths.hpp"
#include "daemon/text_layout.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

std::string speed(std::size_t tokens, std::chrono::duration<double> time) {
  if (tokens == 0 || time.count() <= 0) return "";
  return ", " + show_speed(static_cast<double>(tokens) / time.count());
}

}  // namespace

std::filesystem::path model_directory(const std::string& override) {
  return find_model(read_config(find_paths().config), override);
}

engine::EngineOptions configured_options(const std::string& model) {
  const Config config = read_config(find_paths().config);
  return engine_options(config, find_model(config, model), {});
}

std::shared_ptr<const engine::Engine> load_with_progress(const engine::EngineOptions& options,
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
  auto engine = engine::Engine::load(options, report);
  if (line_open) std::fputs("\r\x1b[K", stderr);
  return engine;
}

Outcome answer(engine::Session& session, engine::GenerationRequest request) {
  const InterruptFlag interrupt;
  engine::Generation generation(session, std::move(request));
  Outcome outcome;
  outcome.prompt_tokens = generation.prompt_tokens();
  auto progress = engine::Progress::more;
  while (progress == engine::Progress::more) {
    const bool decoding = generation.decoding();
    const auto started = Clock::now();
    progress = generation.step(&interrupt.flag());
    (decoding ? outcome.answer_time : outcome.prompt_time) += Clock::now() - started;
    const std::string text = generation.take_text();
    outcome.text += text;
    if (text.empty()) continue;
    std::fputs(printable(text).c_str(), stdout);
    std::fflush(stdout);
  }
  outcome.cached_tokens = generation.cached_tokens();
  outcome.answer_tokens = generation.answer_tokens();
  outcome.interrupted = progress == engine::Progress::interrupted;
  const auto reason = generation.reason();
  outcome.cut =
      reason == engine::StopReason::max_tokens || reason == engine::StopReason::context_full;
  return outcome;
}

std::string show_outcome(const Outcome& outcome) {
  const std::size_t read = outcome.prompt_tokens - outcome.cached_tokens;
  // The first token comes with the prompt's last step.
  const std::size_t written = outcome.answer_tokens > 0 ? outcome.answer_tokens - 1 : 0;
  return show_count(static_cast<std::int64_t>(outcome.prompt_tokens), "token") + " of prompt (" +
         std::to_string(outcome.cached_tokens) + " cached" + speed(read, outcome.prompt_time) +
         "), " + show_count(static_cast<std::int64_t>(outcome.answer_tokens), "token") +
         " of answer" + speed(written, outcome.answer_time) +
         (outcome.interrupted ? ", stopped" : "") + (outcome.cut ? ", cut" : "");
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
