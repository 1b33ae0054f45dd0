// The commands that take a text and end: generate and tokenize.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <optional>

#include "daemon/commands/answerer.hpp"
#include "daemon/commands/arguments.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/platform/error.hpp"
#include "lsp/support/text.hpp"

namespace hearth::daemon {
namespace {

// All of stdin. Says on a terminal that it waits, and for what.
std::string read_stdin(const char* what) {
  if (::isatty(STDIN_FILENO) == 1) {
    std::fprintf(stderr, "Type %s; Ctrl-D on a line of its own ends it.\n", what);
  }
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

bool blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

struct GenerateFlags {
  std::string model;
  std::optional<std::string> prompt;
  std::string system;
  std::string fim_prefix;
  std::string fim_suffix;
  std::string trace;
  std::string draft;
  bool raw = false;
  bool fim = false;
  bool quiet = false;
  bool local = false;
  std::int64_t max_tokens = 512;
  std::optional<float> temperature;
  std::optional<int> top_k;
  std::optional<float> top_p;
  std::optional<std::uint64_t> seed;
  std::string thinking;
  std::vector<std::string> stop;
};

// What is to be answered or gone on with. Throws CallError where there is nothing.
std::string text_of(const GenerateFlags& flags) {
  if (flags.fim) {
    if (!flags.fim_prefix.empty() || !flags.fim_suffix.empty()) return "";
    throw CallError("--fim-prefix and --fim-suffix are empty: there is nothing to fill in between");
  }
  std::string text = flags.prompt ? *flags.prompt : read_stdin("the prompt");
  if (!(flags.raw ? text.empty() : blank(text))) return text;
  throw CallError(flags.prompt ? "--prompt is empty" : "the prompt on stdin is empty");
}

lsp::Prompt prompt_of(const GenerateFlags& flags, const std::string& text,
                      const std::string& system_chat) {
  const auto segment = [](const std::string& from, lsp::Provenance provenance) {
    return std::vector<lsp::Segment>{{lsp::valid_utf8(from), provenance}};
  };
  lsp::Prompt prompt;
  if (flags.fim) {
    prompt.kind = lsp::Prompt::Kind::fill_in_the_middle;
    prompt.prefix = segment(flags.fim_prefix, lsp::Provenance::file);
    prompt.suffix = segment(flags.fim_suffix, lsp::Provenance::file);
  } else if (flags.raw) {
    prompt.kind = lsp::Prompt::Kind::text;
    prompt.prefix = segment(text, lsp::Provenance::file);
  } else {
    const std::string& system = flags.system.empty() ? system_chat : flags.system;
    prompt.messages = {{lsp::Role::system, segment(system, lsp::Provenance::system)},
                       {lsp::Role::user, segment(text, lsp::Provenance::instruction)}};
  }
  return prompt;
}

lsp::GenerateOptions options_of(const GenerateFlags& flags) {
  lsp::GenerateOptions options;
  options.max_tokens = flags.max_tokens;
  for (const std::string& stop : flags.stop) options.stop_strings.push_back(lsp::valid_utf8(stop));
  choose_thinking(options, flags.thinking);
  options.sampling = flags.fim ? lsp::Sampling::greedy : lsp::Sampling::recommended;
  options.sampling_choice = {flags.temperature, flags.top_k, flags.top_p};
  options.seed = flags.seed.value_or(0);
  return options;
}

int run_generate(const GenerateFlags& flags) {
  require_tokenizer(model_directory(flags.model));
  const std::string text = text_of(flags);  // before a large model is loaded
  const auto answerer =
      choose_answerer({flags.model, flags.local, flags.trace, flags.draft, flags.quiet});
  const AnswerOutcome outcome =
      stream_answer(*answerer, prompt_of(flags, text, answerer->model().system_chat),
                    options_of(flags), ::isatty(STDERR_FILENO) == 1 && !flags.quiet);
  if (!flags.quiet) std::fprintf(stderr, "%s\n", show_outcome(outcome).c_str());
  return outcome.interrupted ? 130 : 0;
}

struct TokenizeFlags {
  std::string model;
  std::optional<std::string> text;
  std::vector<engine::TokenId> ids;
  bool special = false;
  bool pieces = false;
};

int run_tokenize(const TokenizeFlags& flags) {
  const auto tokenizer = engine::Tokenizer::load(model_directory(flags.model));
  if (!flags.ids.empty()) {
    const std::size_t size = tokenizer.vocab_size();
    for (const engine::TokenId id : flags.ids) {
      if (static_cast<std::size_t>(id) < size) continue;
      throw CallError("--ids " + std::to_string(id) + " is outside the vocabulary: it has " +
                      std::to_string(size) + " tokens, from 0 on");
    }
    std::cout << tokenizer.decode(flags.ids, true) << "\n";
    return 0;
  }
  const std::string text = flags.text ? *flags.text : read_stdin("the text");
  const auto ids = flags.special ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
  if (flags.pieces) {
    for (const auto id : ids) std::cout << id << "\t" << quoted_bytes(tokenizer.bytes(id)) << "\n";
    return 0;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) std::cout << (i == 0 ? "" : " ") << ids[i];
  std::cout << "\n";
  return 0;
}

}  // namespace

void add_generate(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("generate", "Answers one prompt and exits");
  auto flags = std::make_shared<GenerateFlags>();
  command->add_option("--model", flags->model, "Directory of the checkpoint");
  auto* prompt = command->add_option("-p,--prompt", flags->prompt, "The prompt (default: stdin)");
  auto* system = command->add_option("--system", flags->system,
                                     "The system message (default: the model's own)");
  auto* raw = command->add_flag("--raw", flags->raw, "Continue the text: no chat template");
  auto* prefix = command->add_option("--fim-prefix", flags->fim_prefix,
                                     "Fill in the middle: the text before the cursor");
  auto* suffix = command->add_option("--fim-suffix", flags->fim_suffix,
                                     "Fill in the middle: the text after the cursor");
  for (auto* fim : {prefix, suffix}) fim->excludes(raw)->excludes(prompt)->excludes(system);
  system->excludes(raw);
  command->add_option("--max-tokens", flags->max_tokens, "Longest answer")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0: always the most likely token")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-k", flags->top_k, "Sample from the K most likely tokens; 0: from all")
      ->check(whole_number);
  command
      ->add_option("--top-p", flags->top_p,
                   "Sample from the most likely tokens with this total probability")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--thinking", flags->thinking, thinking_help)
      ->check(CLI::IsMember({"on", "off"}));
  command->add_option("--seed", flags->seed, "The same seed gives the same answer")
      ->check(whole_number);
  command->add_option("--stop", flags->stop, "Stop at this text (may be repeated)");
  command->add_flag("--local", flags->local, local_help);
  command->add_option("--trace", flags->trace,
                      "File to record the routing in (`hearth trace`); implies --local");
  command->add_option(
      "--draft", flags->draft,
      "Directory of a small checkpoint with the same tokens, which drafts what the\n"
      "model verifies; changes no answer. `hearth bench --draft` tells whether it\n"
      "pays here. Implies --local");
  command->add_flag("-q,--quiet", flags->quiet, "No statistics on stderr");
  command->footer(
      "Where a daemon runs with the same checkpoint, its model answers; without one this\n"
      "process loads it, and no daemon is started. The text is the same.\n"
      "\n"
      "Examples:\n"
      "  hearth generate \\\n"
      "    --prompt \"def is_even(n): return n % 2 == 0  Explain what this code does.\"\n"
      "  echo \"def is_even(n):\" | hearth generate --raw --temperature 0 --stop $'\\n\\n'\n"
      "  hearth generate --fim-prefix $'def is_even(number):\\n    return ' \\\n"
      "    --fim-suffix $'\\n' --stop $'\\n'\n"
      "  hearth dummy --hidden 128 --layers 4 --tokenizer ember --out small\n"
      "  hearth generate --draft small --prompt \"Explain what a loop does.\"\n");
  command->callback([&chosen, flags, prefix, suffix] {
    flags->fim = prefix->count() + suffix->count() > 0;
    chosen = [flags] { return run_generate(*flags); };
  });
}

void add_tokenize(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("tokenize", "Converts text to token ids, or back with --ids");
  auto flags = std::make_shared<TokenizeFlags>();
  auto* text = command->add_option("text", flags->text, "The text (default: stdin)");
  command->add_option("--model", flags->model, "Directory of the checkpoint");
  auto* special =
      command->add_flag("--special", flags->special,
                        "Recognise special tokens in the text (default: ordinary characters)");
  auto* pieces = command->add_flag("--pieces", flags->pieces, "One token per line, with its text");
  command->add_option("--ids", flags->ids, "Decode these ids instead")
      ->check(whole_number)
      ->excludes(text)
      ->excludes(special)
      ->excludes(pieces);
  command->footer(
      "Examples:\n"
      "  hearth tokenize --pieces \"def average(values):\"\n"
      "  hearth tokenize --ids 332 281 430 574 1520 82 1495\n"
      "  echo 'total = 0' | hearth tokenize | wc -w\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_tokenize(*flags); }; });
}

}  // namespace hearth::daemon
