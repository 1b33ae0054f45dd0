// The commands that run the engine in this process, once: generate and tokenize.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "daemon/commands.hpp"
#include "daemon/error.hpp"
#include "daemon/in_process.hpp"

namespace hearth::daemon {
namespace {

std::string read_stdin() {
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

struct GenerateFlags {
  std::string model;
  std::string prompt;
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

engine::GenerationRequest request_of(const GenerateFlags& flags, const engine::Engine& engine) {
  const auto& profile = engine.profile();
  engine::GenerationRequest request;
  if (flags.fim) {
    request.prompt = engine::tokenize(
        engine.tokenizer(), engine::render_fim(profile, flags.fim_prefix, flags.fim_suffix));
    request.stop_ids = profile.fim_stop;
  } else {
    const std::string text = flags.prompt.empty() ? read_stdin() : flags.prompt;
    request.sampling = engine::from(engine.defaults());
    request.stop_ids = profile.chat_stop;
    if (flags.raw) {
      request.prompt.tokens = engine.tokenizer().encode(text);
    } else {
      const std::vector<engine::ChatMessage> messages{
          {"system", flags.system.empty() ? profile.system_chat : flags.system}, {"user", text}};
      request.prompt = engine::tokenize(engine.tokenizer(), engine::render_chat(profile, messages));
      request.thinking = profile.thinking;
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
  const auto engine = load_with_progress(options, isatty(STDERR_FILENO) == 1 && !flags.quiet);
  engine::Session session(engine);
  const Outcome outcome = answer(session, request_of(flags, *engine));
  std::fputs("\n", stdout);
  if (!flags.quiet) std::fprintf(stderr, "%s\n", show_outcome(outcome).c_str());
  return outcome.interrupted ? 130 : 0;
}

struct TokenizeFlags {
  std::string model;
  std::string text;
  std::vector<engine::TokenId> ids;
  bool special = false;
  bool pieces = false;
};

int run_tokenize(const TokenizeFlags& flags) {
  const auto tokenizer = engine::Tokenizer::load(model_directory(flags.model));
  if (!flags.ids.empty()) {
    std::cout << tokenizer.decode(flags.ids, true) << "\n";
    return 0;
  }
  const std::string text = flags.text.empty() ? read_stdin() : flags.text;
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
  auto* command = app.add_subcommand("generate", "Answers one prompt in this process, and ends");
  auto flags = std::make_shared<GenerateFlags>();
  command->add_option("--model", flags->model, "Directory of the checkpoint");
  command->add_option("-p,--prompt", flags->prompt, "The prompt; without it, stdin");
  command->add_option("--system", flags->system, "The system line; without it, the model's own");
  auto* raw = command->add_flag("--raw", flags->raw, "Go on with the text: no chat template");
  auto* prefix = command->add_option("--fim-prefix", flags->fim_prefix,
                                     "Fill in the middle: the text before the cursor");
  auto* suffix = command->add_option("--fim-suffix", flags->fim_suffix, "… and the text behind it");
  prefix->excludes(raw);
  suffix->excludes(raw);
  command->add_option("--max-tokens", flags->max_tokens, "Longest answer")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0: always the likeliest token");
  command->add_option("--top-k", flags->top_k, "Draw from the K likeliest; 0: from all");
  command->add_option("--top-p", flags->top_p, "Draw from the likeliest of this joint weight");
  command->add_option("--seed", flags->seed, "The same seed gives the same answer");
  command->add_option("--stop", flags->stop, "End at this text (may be given several times)");
  command->add_option("--trace", flags->trace, "File to record the routing in (`hearth trace`)");
  command->add_flag("-q,--quiet", flags->quiet, "No figures on stderr");
  command->footer(
      "Examples:\n"
      "  hearth generate --prompt \"What does a mutex do?\" --max-tokens 100\n"
      "  hearth generate --fim-prefix \"def add(a, b):\\n    return \" --fim-suffix \"\\n\"\n"
      "  hearth generate --raw --temperature 0 < beginning.txt\n");
  command->callback([&chosen, flags, prefix, suffix] {
    flags->fim = prefix->count() + suffix->count() > 0;
    chosen = [flags] { return run_generate(*flags); };
  });
}

void add_tokenize(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("tokenize", "Text to token ids, or back with --ids");
  auto flags = std::make_shared<TokenizeFlags>();
  command->add_option("text", flags->text, "The text; without it, stdin");
  command->add_option("--model", flags->model, "Directory of the checkpoint");
  command->add_flag("--special", flags->special,
                    "Recognise special tokens in the text (else they are ordinary characters)");
  command->add_flag("--pieces", flags->pieces, "One token a line, with its text");
  command->add_option("--ids", flags->ids, "Decode these ids instead")
      ->check(CLI::NonNegativeNumber);
  command->footer(
      "Examples:\n"
      "  hearth tokenize --pieces \"def average(values):\"\n"
      "  hearth tokenize --ids 301 17 42\n"
      "  wc -w < notes.md; hearth tokenize < notes.md | wc -w\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_tokenize(*flags); }; });
}

}  // namespace hearth::daemon
