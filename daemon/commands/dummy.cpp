// `hearth synth`: a checkpoint of the real shapes and random weights, for measurements.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "daemon/commands.hpp"
#include "daemon/interrupt_flag.hpp"
#include "daemon/text_layout.hpp"
#include "engine/engine.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

struct SynthFlags {
  int layers = 8;
  int experts = 512;
  engine::SynthOptions options;
};

double per_second(std::uint64_t bytes, Clock::time_point since) {
  const std::chrono::duration<double> time = Clock::now() - since;
  return static_cast<double>(bytes) / std::max(time.count(), 1e-3);
}

int run_synth(const SynthFlags& flags) {
  engine::SynthOptions options = flags.options;
  options.config = engine::published_config(flags.layers, flags.experts);

  const InterruptFlag interrupt;
  const auto started = Clock::now();
  const bool show = isatty(STDERR_FILENO) == 1;
  const auto progress = [&](const engine::SynthProgress& now) {
    if (!show || now.bytes_total == 0) return;
    std::fprintf(stderr, "\r\x1b[K%3.0f %%, %s of %s, %s/s",
                 100 * static_cast<double>(now.bytes_done) / static_cast<double>(now.bytes_total),
                 show_bytes(static_cast<double>(now.bytes_done)).c_str(),
                 show_bytes(static_cast<double>(now.bytes_total)).c_str(),
                 show_bytes(per_second(now.bytes_done, started)).c_str());
  };
  const std::optional<engine::SynthSummary> summary =
      engine::synthesise(options, progress, &interrupt.flag());
  if (show) std::fputs("\r\x1b[K", stderr);
  if (!summary) {
    std::fputs("hearth: stopped; nothing was left behind\n", stderr);
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

void add_synth(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "synth", "Writes a checkpoint of the real shapes with random weights, to measure with");
  auto flags = std::make_shared<SynthFlags>();
  command->add_option("--layers", flags->layers, "Layers; the published models have 48")
      ->required()
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--experts", flags->experts,
                   "Experts in each layer, 10 of which are chosen for a token")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--out", flags->options.out, "The new checkpoint's directory")->required();
  command
      ->add_option("--skew", flags->options.skew,
                   "How uneven routing is. 0: all experts alike; 2: about 70 % of the chosen\n"
                   "experts are among the quarter that was used last, as with real text")
      ->check(CLI::Range(0.0, 16.0))
      ->capture_default_str();
  command->add_flag("--mtp", flags->options.mtp, "With the multi-token-prediction head");
  command->add_option("--seed", flags->options.seed, "The same seed gives the same bytes")
      ->capture_default_str();
  command->add_flag("--sparse", flags->options.sparse,
                    "Leave holes for the experts' weights: they read as zeros and take no space");
  command->add_option("--tokenizer", flags->options.tokenizer,
                      "A checkpoint's directory or a tokenizer.json, to be copied. Without it the\n"
                      "checkpoint runs on token ids only");
  command->footer(
      "A layer of 512 experts takes 1.65 GB, what stands outside the layers 1.24 GB. Nothing is\n"
      "written when the disk has not that much free; an interrupted run leaves nothing behind.\n"
      "\n"
      "Examples:\n"
      "  hearth synth --layers 2 --out /data/quick                  4.5 GB\n"
      "  hearth synth --layers 8 --mtp --out /data/benchmark        16.1 GB\n"
      "  hearth synth --layers 8 --skew 2 --out /data/skewed\n"
      "  hearth synth --layers 48 --sparse --out /data/hollow       3.0 GB, looks like 79 GB\n"
      "  hearth synth --layers 48 --experts 16 --out /data/deep     5.4 GB\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_synth(*flags); }; });
}

}  // namespace hearth::daemon
