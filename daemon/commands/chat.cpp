// `hearth chat`: a conversation in the terminal, in this process.
#include <poll.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>

#include "daemon/commands.hpp"
#include "daemon/in_process.hpp"
#include "daemon/text_layout.hpp"

namespace hearth::daemon {
namespace {

struct ChatFlags {
  std::string model;
  std::string system;
  std::string trace;
  std::int64_t max_tokens = 1024;
  std::optional<float> temperature;
  std::optional<std::uint64_t> seed;
};

// Lines of stdin. Ctrl-C drops the line that was begun.
class LineReader {
 public:
  // Empty at the end of input.
  std::optional<std::string> next(const std::string& prompt) {
    std::fputs(prompt.c_str(), stdout);
    std::fflush(stdout);
    for (;;) {
      const std::size_t newline = pending_.find('\n');
      if (newline != std::string::npos) {
        std::string line = pending_.substr(0, newline);
        pending_.erase(0, newline + 1);
        return line;
      }
      char buffer[4096];
      const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) {
        pending_.clear();
        std::fputs(("\n" + prompt).c_str(), stdout);
        std::fflush(stdout);
        continue;
      }
      if (got <= 0) return std::nullopt;
      pending_.append(buffer, static_cast<std::size_t>(got));
    }
  }

 private:
  std::string pending_;
};

// At the prompt, Ctrl-C interrupts the read and nothing else.
void interrupt_reads_only() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGINT, &action, nullptr);
}

engine::GenerationRequest next_turn(const engine::Engine& engine, const ChatFlags& flags,
                                    const std::vector<engine::ChatMessage>& messages) {
  const auto& profile = engine.profile();
  engine::GenerationRequest request;
  request.prompt = engine::tokenize(engine.tokenizer(), engine::render_chat(profile, messages));
  request.sampling = engine::from(engine.defaults());
  if (flags.temperature) request.sampling.temperature = *flags.temperature;
  if (flags.seed) request.sampling.seed = *flags.seed;
  request.stop_ids = profile.chat_stop;
  request.max_tokens = flags.max_tokens;
  request.thinking = profile.thinking;
  return request;
}

int run_chat(const ChatFlags& flags) {
  const Style style(STDOUT_FILENO);
  engine::EngineOptions options = configured_options(flags.model);
  options.experts.trace = flags.trace;
  const auto engine = load_with_progress(options, isatty(STDERR_FILENO) == 1);
  std::printf("%s\n", style
                          .dim(engine->profile().name + " on " + engine->description() +
                               ". Ctrl-C stops an answer, Ctrl-D ends.")
                          .c_str());
  engine::Session session(engine);
  std::vector<engine::ChatMessage> messages{
      {"system", flags.system.empty() ? engine->profile().system_chat : flags.system}};
  interrupt_reads_only();
  LineReader lines;
  while (const auto line = lines.next(style.bold("> "))) {
    if (line->find_first_not_of(" \t") == std::string::npos) continue;
    messages.push_back({"user", *line});
    try {
      const Outcome outcome = answer(session, next_turn(*engine, flags, messages));
      messages.push_back({"assistant", outcome.text});
      std::printf("\n%s\n", style.dim(show_outcome(outcome)).c_str());
    } catch (const engine::Error& error) {
      messages.pop_back();
      std::printf("%s\n", style.yellow(error.what()).c_str());
    }
  }
  std::printf("\n");
  return 0;
}

}  // namespace

void add_chat(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("chat", "A conversation in the terminal, in this process");
  auto flags = std::make_shared<ChatFlags>();
  command->add_option("--model", flags->model, "Directory of the checkpoint");
  command->add_option("--system", flags->system, "The system line; without it, the model's own");
  command->add_option("--max-tokens", flags->max_tokens, "Longest answer")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0: always the likeliest token");
  command->add_option("--seed", flags->seed, "The same seed gives the same answers");
  command->add_option("--trace", flags->trace, "File to record the routing in (`hearth trace`)");
  command->footer("What was said before is kept computed: a turn costs only what is new in it.\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_chat(*flags); }; });
}

}  // namespace hearth::daemon
