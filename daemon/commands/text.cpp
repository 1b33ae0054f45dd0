// The commands that run the engine in this process, once: generate and tokenize.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <optional>

#include "daemon/commands/arguments.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/platform/error.hpp"

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
  bool raw = false;
  bool fim = false;
  bool quiet = false;
  std::int64_t max_tokens = 512;
  std::optional<float> temperature;
  std::optional<int> top_k;
  std::optional<float> top_p;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
};

// What is to be answered or gone on with. Throws CallError where there is nothing.
std::string prompt_of(const GenerateFlags& flags) {
  if (flags.fim) {
    if (!flags.fim_prefix.empty() || !flags.fim_suffix.empty()) return "";
    throw CallError("--fim-prefix and --fim-suffix are empty: there is nothing to fill in between");
  }
  std::string text = flags.prompt ? *flags.prompt : read_stdin("the prompt");
  if (!(flags.raw ? text.empty() : blank(text))) return text;
  throw CallError(flags.prompt ? "--prompt is empty" : "the prompt on stdin is empty");
}

engine::GenerationRequest request_of(const GenerateFlags& flags, const std::string& text,
                                     const engine::Engine& engine) {
  const auto& profile = engine.profile();
  engine::GenerationRequest request;
  if (flags.fim) {
    request.prompt = engine::tokenize(
        engine.tokenizer(), engine::render_fim(profile, flags.fim_prefix, flags.fim_suffix));
    request.stop_ids = profile.fim_stop;
  } else {
    request.sampling = engine::from(engine.defaults());
    request.stop_ids = profile.chat_stop;
    if (flags.raw) {
      request.prompt.tokens = engine.tokenizer().encode(text);
    } else {
      const std::vector<engine::ChatMessage> messages{
          {"system", flags.system.empty() ? profile.system_chat : flags.system}, {"user", text}};
      request.prompt = engine::tokenize(engine.tokenizer(), engine::render_chat(profile, messages));
      set_thinking(request, profile);
    }
  }
  request.stop_strings = flags.stop;
  request.max_tokens = flags.max_tokens;
  auto& sampling = request.sampling;
  if (flags.temperature) sampling.temperature = *flags.temperature;
  if (flags.top_k) sampling.top_k = *flags.top_k;
  if (flags.top_p) sampling.top_p = *flags.top_p;
  if (flags.seed) sampling.seed = *flags.seed;
  return request;
}

int run_generate(const GenerateFlags& flags) {
  engine::EngineOptions options = configured_options(flags.model);
  options.experts.trace = flags.trace;
  require_tokenizer(options.model);
  const std::string text = prompt_of(flags);  // before a large model is loaded
  const bool show_progress = isatty(STDERR_FILENO) == 1 && !flags.quiet;
  const auto runtime = load_with_progress(options, show_progress);
  engine::Session session(runtime);
  const Outcome outcome =
      answer(session, request_of(flags, text, runtime->engine()), show_progress);
  std::fputs("\n", stdout);
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
  auto* command = app.add_subcommand("generate", "Answers one prompt in this process and exits");
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
  command->add_option("--seed", flags->seed, "The same seed gives the same answer")
      ->check(whole_number);
  command->add_option("--stop", flags->stop, "Stop at this text (may be repeated)");
  command->add_option("--trace", flags->trace, "File to record the routing in (`hearth trace`)");
  command->add_flag("-q,--quiet", flags->quiet, "No statistics on stderr");
  command->footer(
      "Examples:\n"
      "  hearth generate \\\n"
      "    --prompt \"def is_even(n): return n % 2 == 0  Explain what this code does.\"\n"
      "  echo \"def is_even(n):\" | hearth generate --raw --temperature 0 --stop $'\\n\\n'\n"
      "  hearth generate --fim-prefix $'def is_even(number):\\n    return ' \\\n"
      "    --fim-suffix $'\\n' --stop $'\\n'\n");
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
