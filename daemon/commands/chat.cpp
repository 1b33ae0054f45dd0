// `hearth chat`: a conversation in the terminal, in this process. Answers go to stdout; all else
// goes there too where it is a terminal, else to stderr.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>

#include "daemon/commands/arguments.hpp"
#include "daemon/commands/chat_history.hpp"
#include "daemon/commands/chat_input.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/paths.hpp"

namespace hearth::daemon {
namespace {

struct ChatFlags {
  std::string model;
  std::string system;
  std::string trace;
  bool no_history = false;
  std::int64_t max_tokens = 1024;
  std::optional<float> temperature;
  std::optional<std::uint64_t> seed;
};

constexpr const char* help =
    "/help    this list\n"
    "/clear   start a new conversation\n"
    "/exit    leave (or Ctrl-D)\n"
    "Alt-Enter, or a backslash at the end of a line, continues the message on the\n"
    "next line; pasted text is one message. Ctrl-C stops an answer, or clears the\n"
    "line.";

class Chat {
 public:
  Chat(const ChatFlags& flags, std::shared_ptr<engine::Runtime> runtime)
      : flags_(flags),
        runtime_(std::move(runtime)),
        session_(runtime_),
        history_(flags.no_history || ::isatty(STDIN_FILENO) != 1 ? std::filesystem::path()
                                                                 : find_paths().chat_history()),
        input_(make_chat_input(history_.messages())) {
    clear();
  }

  void run() {
    note(style_.dim(runtime_->engine().profile().name + " on " + runtime_->engine().description() +
                    ". /help lists the commands, Ctrl-D ends."));
    while (auto message = input_->next(prompt())) {
      const std::size_t begin = message->find_first_not_of(" \t\n");
      if (begin == std::string::npos) continue;
      input_->remember(*message);
      remember(*message);
      if ((*message)[begin] != '/') {
        say(*message);
        continue;
      }
      const std::string command =
          message->substr(begin, message->find_last_not_of(" \t\n") + 1 - begin);
      if (command == "/exit" || command == "/quit") return;
      if (command == "/clear") {
        clear();
        note(style_.dim("A new conversation."));
      } else if (command == "/help") {
        note(help);
      } else if (command.find_first_of("/ \n", 1) == std::string::npos) {
        note(style_.yellow("There is no " + command + ". /help lists the commands."));
      } else {
        say(*message);  // a path, or a text that begins so
      }
    }
  }

 private:
  // To the person, never to a pipe.
  void note(const std::string& text) const {
    std::fflush(stdout);
    std::fprintf(notes_, "%s\n", text.c_str());
    std::fflush(notes_);
  }

  // Bold, between the marks that tell libedit what takes no room.
  std::string prompt() const { return style_.coloured() ? "\1\x1b[1m\1> \1\x1b[0m\1" : "> "; }

  void clear() {
    messages_ = {{"system", flags_.system.empty() ? runtime_->engine().profile().system_chat
                                                  : flags_.system}};
  }

  void remember(const std::string& message) {
    try {
      history_.add(message);
    } catch (const Error& error) {
      if (!history_failed_)
        note(style_.yellow(std::string("History is not kept: ") + error.what()));
      history_failed_ = true;
    }
  }

  void say(const std::string& message) {
    messages_.push_back({"user", message});
    try {
      const Outcome outcome = answer(session_, next_turn(), ::isatty(STDERR_FILENO) == 1);
      messages_.push_back({"assistant", outcome.text});
      std::fputs("\n", stdout);
      note(style_.dim(show_outcome(outcome)));
    } catch (const engine::Error& error) {
      messages_.pop_back();
      note(style_.yellow(error.what()));
    }
  }

  // The conversation as a prompt, with room for an answer: the oldest turns go where there is none.
  engine::GenerationRequest next_turn() {
    const auto& profile = runtime_->engine().profile();
    const auto context = static_cast<std::size_t>(runtime_->engine().context());
    const std::size_t room = std::min(static_cast<std::size_t>(flags_.max_tokens), context / 4) + 1;
    engine::GenerationRequest request;
    std::size_t dropped = 0;
    for (;;) {
      request.prompt =
          engine::tokenize(runtime_->engine().tokenizer(), engine::render_chat(profile, messages_));
      constexpr std::size_t turn = 2;  // a message and its answer
      if (request.prompt.tokens.size() + room <= context || messages_.size() <= 1 + turn) break;
      messages_.erase(messages_.begin() + 1, messages_.begin() + 1 + turn);
      ++dropped;
    }
    if (dropped > 0) {
      note(style_.yellow(fmt::format(
          "The conversation was longer than the context of {} tokens: its {} left out "
          "from here on.",
          context, dropped == 1 ? "oldest turn is" : fmt::format("{} oldest turns are", dropped))));
    }
    request.sampling = engine::from(runtime_->engine().defaults());
    if (flags_.temperature) request.sampling.temperature = *flags_.temperature;
    if (flags_.seed) request.sampling.seed = *flags_.seed;
    request.stop_ids = profile.chat_stop;
    request.max_tokens = flags_.max_tokens;
    set_thinking(request, profile);
    return request;
  }

  const ChatFlags& flags_;
  std::shared_ptr<engine::Runtime> runtime_;
  engine::Session session_;
  std::FILE* const notes_ = ::isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
  const Style style_{::fileno(notes_)};
  ChatHistory history_;
  bool history_failed_ = false;
  std::unique_ptr<ChatInput> input_;
  std::vector<engine::ChatMessage> messages_;  // the system line, then turns
};

int run_chat(const ChatFlags& flags) {
  // Between the prompt's coming and the terminal's being set to it, Ctrl-C ends nothing; while an
  // answer is computed, it stops that.
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  ::sigaction(SIGINT, &nothing, nullptr);
  engine::EngineOptions options = configured_options(flags.model);
  options.experts.trace = flags.trace;
  require_tokenizer(options.model);
  Chat(flags, load_with_progress(options, ::isatty(STDERR_FILENO) == 1)).run();
  return 0;
}

}  // namespace

void add_chat(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("chat", "A conversation in the terminal, in this process");
  auto flags = std::make_shared<ChatFlags>();
  command->add_option("--model", flags->model, "Directory of the checkpoint");
  command->add_option("--system", flags->system, "The system message (default: the model's own)");
  command->add_option("--max-tokens", flags->max_tokens, "Longest answer")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0: always the most likely token")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--seed", flags->seed, "The same seed gives the same answers")
      ->check(whole_number);
  command->add_flag("--no-history", flags->no_history,
                    "Neither read nor write the history (the last 1,000 messages)");
  command->add_option("--trace", flags->trace, "File to record the routing in (`hearth trace`)");
  command->footer(
      "A turn computes only its new tokens; the earlier conversation is cached. /help\n"
      "lists the commands. Without a terminal, every line of stdin is a message, and\n"
      "only the answers go to stdout.\n"
      "\n"
      "Examples:\n"
      "  hearth chat\n"
      "  hearth chat --system 'Answer in one sentence.' --temperature 0\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_chat(*flags); }; });
}

}  // namespace hearth::daemon
