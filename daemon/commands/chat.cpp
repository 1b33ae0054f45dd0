// `hearth chat`: a conversation in the terminal. Answers go to stdout; all else goes there too
// where it is a terminal, else to stderr.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <stdexcept>

#include "daemon/commands/answerer.hpp"
#include "daemon/commands/arguments.hpp"
#include "daemon/commands/chat_history.hpp"
#include "daemon/commands/chat_input.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/paths.hpp"
#include "lsp/support/text.hpp"

namespace hearth::daemon {
namespace {

struct ChatFlags {
  std::string model;
  std::string system;
  std::string trace;
  bool no_history = false;
  bool local = false;
  std::int64_t max_tokens = 1024;
  std::optional<float> temperature;
  std::optional<std::uint64_t> seed;
  std::string thinking;
};

constexpr const char* help =
    "/help    this list\n"
    "/clear   start a new conversation\n"
    "/thought show what was thought before the last answer\n"
    "/exit    leave (or Ctrl-D)\n"
    "Alt-Enter, or a backslash at the end of a line, continues the message on the\n"
    "next line; pasted text is one message. Ctrl-C stops an answer, or clears the\n"
    "line.";

lsp::GenerateOptions options_of(const ChatFlags& flags) {
  lsp::GenerateOptions options;
  options.max_tokens = flags.max_tokens;
  choose_thinking(options, flags.thinking);
  options.sampling = lsp::Sampling::recommended;
  options.sampling_choice.temperature = flags.temperature;
  options.seed = flags.seed.value_or(0);
  return options;
}

class Chat {
 public:
  Chat(const ChatFlags& flags, std::unique_ptr<Answerer> answerer)
      : flags_(flags),
        answerer_(std::move(answerer)),
        history_(flags.no_history || ::isatty(STDIN_FILENO) != 1 ? std::filesystem::path()
                                                                 : find_paths().chat_history()),
        input_(make_chat_input(history_.messages())) {
    clear();
  }

  void run() {
    note(style_.dim(answerer_->model().name + " on " + answerer_->model().device +
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
      } else if (command == "/thought") {
        note(thought_.empty() ? "Nothing was thought before the last answer."
                              : style_.dim(thought_));
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
    const std::string& system =
        flags_.system.empty() ? answerer_->model().system_chat : flags_.system;
    prompt_.messages = {message(lsp::Role::system, system, lsp::Provenance::system)};
    thought_.clear();
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

  static lsp::Message message(lsp::Role role, const std::string& text, lsp::Provenance provenance) {
    return {role, {{lsp::valid_utf8(text), provenance}}};
  }

  void say(const std::string& text) {
    prompt_.messages.push_back(message(lsp::Role::user, text, lsp::Provenance::instruction));
    try {
      make_room();
      const AnswerOutcome outcome =
          stream_answer(*answerer_, prompt_, options_, ::isatty(STDERR_FILENO) == 1);
      prompt_.messages.push_back(
          message(lsp::Role::assistant, outcome.text, lsp::Provenance::answer));
      prompt_.messages.back().generated = outcome.generated;
      thought_ = outcome.thought;
      prompt_.messages.back().thinking = options_.asks_to_think();
      note(style_.dim(show_outcome(outcome)));
    } catch (const std::runtime_error& error) {
      prompt_.messages.pop_back();
      note(style_.yellow(error.what()));
    }
  }

  // For an answer: the oldest turns go where there is none, until half of the room is free, so that
  // the next ones compute only what is new.
  void make_room() {
    std::vector<lsp::Message>& messages = prompt_.messages;
    const std::size_t context = answerer_->model().context;
    const auto share = [&](std::int64_t most) {
      return std::min(static_cast<std::size_t>(most), context / 4);
    };
    const bool thinks = answerer_->model().thinking && options_.asks_to_think() != false;
    const std::size_t answer =
        share(flags_.max_tokens) + (thinks ? share(options_.thinking_budget) : 0) + 1;
    constexpr std::size_t turn = 2;  // a message and its answer
    std::size_t tokens = answerer_->count_tokens(prompt_);
    if (messages.size() <= 1 + turn || tokens + answer <= context) return;
    std::size_t dropped = 0;
    while (messages.size() > 1 + turn && tokens > (context - answer) / 2) {
      messages.erase(messages.begin() + 1, messages.begin() + 1 + turn);
      tokens = answerer_->count_tokens(prompt_);
      ++dropped;
    }
    note(style_.yellow(fmt::format(
        "The conversation was longer than the context of {} tokens: its {} left out "
        "from here on, and the {} that are left are computed again.",
        context, dropped == 1 ? "oldest turn is" : fmt::format("{} oldest turns are", dropped),
        show_count(static_cast<std::int64_t>(tokens), "token"))));
  }

  const ChatFlags& flags_;
  std::unique_ptr<Answerer> answerer_;
  const lsp::GenerateOptions options_ = options_of(flags_);
  std::FILE* const notes_ = ::isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
  const Style style_{::fileno(notes_)};
  ChatHistory history_;
  bool history_failed_ = false;
  std::unique_ptr<ChatInput> input_;
  lsp::Prompt prompt_;   // the system line, then turns
  std::string thought_;  // before the last answer of theirs
};

int run_chat(const ChatFlags& flags) {
  // Between the prompt's coming and the terminal's being set to it, Ctrl-C ends nothing; while an
  // answer is computed, it stops that.
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  ::sigaction(SIGINT, &nothing, nullptr);
  Chat(flags, choose_answerer({flags.model, flags.local, flags.trace, "", false})).run();
  return 0;
}

}  // namespace

void add_chat(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("chat", "A conversation in the terminal");
  auto flags = std::make_shared<ChatFlags>();
  command->add_option("--model", flags->model, "Directory of the checkpoint");
  command->add_option("--system", flags->system, "The system message (default: the model's own)");
  command->add_option("--max-tokens", flags->max_tokens, "Longest answer")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0: always the most likely token")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--thinking", flags->thinking, thinking_help)
      ->check(CLI::IsMember({"on", "off"}));
  command->add_option("--seed", flags->seed, "The same seed gives the same answers")
      ->check(whole_number);
  command->add_flag("--no-history", flags->no_history,
                    "Neither read nor write the history (the last 1,000 messages)");
  command->add_flag("--local", flags->local, local_help);
  command->add_option("--trace", flags->trace,
                      "File to record the routing in (`hearth trace`); implies --local");
  command->footer(
      "A turn computes only its new tokens; the earlier conversation is cached. /help\n"
      "lists the commands. Without a terminal, every line of stdin is a message, and\n"
      "only the answers go to stdout. Where a daemon runs with the same checkpoint, its\n"
      "model answers; without one this process loads it, and no daemon is started.\n"
      "\n"
      "Examples:\n"
      "  hearth chat\n"
      "  hearth chat --system 'Answer in one sentence.' --temperature 0\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_chat(*flags); }; });
}

}  // namespace hearth::daemon
