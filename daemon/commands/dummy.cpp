// `hearth dummy`: a checkpoint of the real shapes and random weights, for measurements.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "daemon/commands/commands.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/installation.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "engine/engine.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int tiny_experts = 32;
constexpr const char* embedded = "ember";

struct DummyFlags {
  int layers = 8;
  std::optional<int> experts;
  std::optional<int> hidden;  // empty: published shapes
  std::string like = "qwen3-coder-next";
  std::string fim = "published";
  engine::DummyOptions options;
};

// A line or two of them, for the help.
std::string wrapped_names(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i % 3 == 0 ? ",\n" : ", ") + names[i];
  return text;
}

double per_second(std::uint64_t bytes, Clock::time_point since) {
  const std::chrono::duration<double> time = Clock::now() - since;
  return static_cast<double>(bytes) / std::max(time.count(), 1e-3);
}

// ", 12 s left", once there is something to go by.
std::string left(const engine::DummyProgress& now, double speed) {
  if (now.bytes_done == 0 || speed <= 0) return "";
  const double seconds = static_cast<double>(now.bytes_total - now.bytes_done) / speed;
  return ", " + show_time(std::chrono::seconds(std::llround(seconds))) + " left";
}

engine::DummyOptions options_of(const DummyFlags& flags) {
  engine::DummyOptions options = flags.options;
  if (flags.hidden) {
    options.config =
        engine::tiny_config(*flags.hidden, flags.layers, flags.experts.value_or(tiny_experts));
  } else {
    const engine::PublishedModel& model =
        *std::ranges::find(engine::published_models(), flags.like, &engine::PublishedModel::name);
    options.config = engine::with_layers(model, flags.layers, flags.experts);
    options.form = model.form;
  }
  std::error_code ignored;
  if (options.tokenizer == embedded && !std::filesystem::exists(embedded, ignored)) {
    options.tokenizer = embedded_model();
  }
  if (flags.fim != "published") options.fim_order = engine::FimOrder::suffix_first;
  return options;
}

int run_dummy(const DummyFlags& flags) {
  const engine::DummyOptions options = options_of(flags);

  const InterruptFlag interrupt;
  const auto started = Clock::now();
  const bool show = isatty(STDERR_FILENO) == 1;
  const auto progress = [&](const engine::DummyProgress& now) {
    if (!show || now.bytes_total == 0) return;
    const double speed = per_second(now.bytes_done, started);
    std::fprintf(stderr, "\r\x1b[K%3.0f %%, %s of %s, %s/s%s",
                 100 * static_cast<double>(now.bytes_done) / static_cast<double>(now.bytes_total),
                 show_bytes(static_cast<double>(now.bytes_done)).c_str(),
                 show_bytes(static_cast<double>(now.bytes_total)).c_str(),
                 show_bytes(speed).c_str(), left(now, speed).c_str());
  };
  const std::optional<engine::DummySummary> summary =
      engine::write_dummy(options, progress, &interrupt.flag());
  if (show) std::fputs("\r\x1b[K", stderr);
  if (!summary) {
    std::fputs("hearth: interrupted; nothing was left behind\n", stderr);
    return 130;
  }
  std::printf("%s: %s in %s, %s of it on the disk, %s/s\n", options.out.c_str(),
              show_bytes(static_cast<double>(summary->bytes)).c_str(),
              show_count(static_cast<std::int64_t>(summary->shards), "shard").c_str(),
              show_bytes(static_cast<double>(summary->written)).c_str(),
              show_bytes(per_second(summary->written, started)).c_str());
  return 0;
}

}  // namespace

void add_dummy(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "dummy",
      "Writes a checkpoint with random weights, of the real shapes or tiny, to measure with");
  command->alias("synth");  // its name in 0.1
  auto flags = std::make_shared<DummyFlags>();
  command->add_option("--layers", flags->layers, "Layers; the published models have 24 to 64")
      ->required()
      ->check(CLI::Range(1, 1024));
  std::vector<std::string> names;
  for (const engine::PublishedModel& model : engine::published_models())
    names.emplace_back(model.name);
  auto* like = command
                   ->add_option("--like", flags->like,
                                "The model whose published shapes it has, and how they\n"
                                "are stored: " +
                                    wrapped_names(names))
                   ->check(CLI::IsMember(names).description(""))
                   ->type_name("MODEL")
                   ->capture_default_str();
  command
      ->add_option("--hidden", flags->hidden,
                   "A tiny model of this hidden size, a multiple of 128, with a context of 8,192\n"
                   "tokens, instead of published shapes")
      ->excludes(like)
      ->check(CLI::Range(1, engine::max_tiny_hidden));
  command
      ->add_option("--experts", flags->experts,
                   "Experts in each layer, by default as many as the model has. With --hidden 32,\n"
                   "of which 4 are chosen for a token")
      ->check(CLI::Range(1, 4096));
  command->add_option("--out", flags->options.out, "The new checkpoint's directory")->required();
  command
      ->add_option(
          "--skew", flags->options.skew,
          "Skew of the routing. 0: all experts equally likely; 2: about 70 % of the chosen\n"
          "experts are in the quarter used most recently, as with real text")
      ->check(CLI::Range(0.0, 16.0))
      ->capture_default_str();
  command->add_flag("--mtp", flags->options.mtp, "Include the multi-token-prediction head");
  command->add_option("--seed", flags->options.seed, "The same seed gives the same bytes")
      ->capture_default_str();
  command->add_flag("--sparse", flags->options.sparse,
                    "Leave holes for the experts' weights: they read as zeros and take no space");
  auto* tokenizer = command->add_option(
      "--tokenizer", flags->options.tokenizer,
      "A checkpoint's directory or a tokenizer.json to copy; \"ember\": the\n"
      "embedded checkpoint's. Without it the checkpoint runs on token ids only");
  command
      ->add_option("--fim", flags->fim,
                   "Order of fill in the middle: as published, prefix first, or suffix first")
      ->check(CLI::IsMember({"published", "suffix-first"}))
      ->needs(tokenizer)
      ->capture_default_str();
  command->footer(
      "A layer of the default's 512 experts takes 1.65 GB, everything else 1.24 GB.\n"
      "Nothing is written if the disk has too little free space; an interrupted run\n"
      "leaves nothing behind.\n"
      "\n"
      "Examples:\n"
      "  hearth dummy --layers 2 --out quick                 # 4.5 GB\n"
      "  hearth dummy --layers 8 --mtp --out benchmark       # 16.1 GB\n"
      "  hearth dummy --layers 8 --skew 2 --out skewed       # 14.4 GB\n"
      "  hearth dummy --layers 48 --sparse --out hollow      # 3.0 GB, looks like 79 GB\n"
      "  hearth dummy --layers 48 --experts 16 --out deep    # 5.4 GB\n"
      "  hearth dummy --like qwen3.6-35b-a3b --layers 8 --out other   # 8.7 GB\n"
      "  hearth dummy --hidden 256 --layers 4 --tokenizer ember --out tiny   # 12 MB\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_dummy(*flags); }; });
}

}  // namespace hearth::daemon
