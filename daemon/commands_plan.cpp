// `hearth plan`: what a machine, this one or one described, would make of a checkpoint.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cstdio>

#include "daemon/byte_count.hpp"
#include "daemon/commands.hpp"
#include "daemon/error.hpp"
#include "daemon/in_process.hpp"
#include "daemon/text_layout.hpp"
#include "engine/measure.hpp"
#include "engine/synth.hpp"

namespace hearth::daemon {
namespace {

struct PlanFlags {
  std::string model;
  std::string ram;
  std::string experts;
  std::string disk;
  std::string memory;
  std::string arithmetic;
  std::string routing = "text";
  std::int64_t context = 32768;
};

// The share of a token's experts found in memory where that holds the share `resident` of all, as
// others measured it on text with this very model; uniform routing finds just its share.
double hit_rate(double resident, bool text) {
  if (!text || resident >= 1) return std::min(resident, 1.0);
  struct Point {
    double resident;
    double hits;
  };
  constexpr std::array<Point, 6> measured{
      {{0, 0}, {0.05, 0.55}, {0.19, 0.866}, {0.24, 0.90}, {0.35, 0.966}, {1, 1}}};
  for (std::size_t i = 1; i < measured.size(); ++i) {
    if (resident > measured[i].resident) continue;
    const Point& from = measured[i - 1];
    const Point& to = measured[i];
    return from.hits +
           (to.hits - from.hits) * (resident - from.resident) / (to.resident - from.resident);
  }
  return 1;
}

double rate_of(const std::string& text, const char* option) {
  std::string number = text;
  if (number.ends_with("/s")) number.resize(number.size() - 2);
  const auto bytes = parse_byte_count(number);
  if (!bytes || *bytes == 0) {
    throw Error(std::string(option) + " " + text + ": a speed such as 3.5G/s is expected");
  }
  return static_cast<double>(*bytes);
}

struct Subject {
  std::string name;
  engine::Config config;
  engine::WeightForm form;
};

void print_plan(const Subject& subject, const PlanFlags& flags, engine::MachineSpeed machine,
                double ram) {
  const engine::Costs costs = engine::costs_of(subject.config, subject.form);
  constexpr double overhead = 300e6;
  const double kv = costs.kv_bytes * static_cast<double>(flags.context);
  const auto prefixes =
      static_cast<double>(engine::default_prefixes({.available = static_cast<std::uint64_t>(ram)}));
  constexpr double scratch = 512.0 * 1024 * 1024;
  const double fixed = costs.dense_bytes() + costs.screen_bytes + kv + 10 * costs.state_bytes +
                       prefixes + scratch + overhead;
  double experts = std::min(0.6 * ram, ram - fixed - 4.0 * 1024 * 1024 * 1024);
  if (!flags.experts.empty()) {
    const auto given = parse_byte_count(flags.experts);
    if (!given)
      throw Error("--experts-memory " + flags.experts + ": a size such as 6G is expected");
    experts = static_cast<double>(*given);
  }
  experts = std::min(experts, costs.all_expert_bytes());
  std::printf("%s: %s of experts, %s always in memory\n", subject.name.c_str(),
              show_bytes(costs.all_expert_bytes()).c_str(),
              show_bytes(costs.dense_bytes()).c_str());
  const double least = 2 * costs.experts_per_token * costs.expert_bytes;
  if (experts < least) {
    std::printf(
        "  does not fit: %s of memory, less %s for weights, context, checkpoints and\n"
        "  scratch and 4 GiB for others, leaves too little for a token's experts\n\n",
        show_bytes(ram).c_str(), show_bytes(fixed).c_str());
    return;
  }
  const double resident = experts / costs.all_expert_bytes();
  const double hits = hit_rate(resident, flags.routing == "text");
  constexpr double of_memory = 0.88;  // what products reach of the bandwidth
  constexpr double of_peak = 0.7;     // what a prefill reaches of the arithmetic
  machine.memory *= of_memory;
  machine.arithmetic *= of_peak;
  const double chunk = scratch / (16.0 * static_cast<double>(subject.config.hidden_size) * 4);
  std::printf("  experts %s in memory (%.0f %%), found there %.1f %% of the time\n",
              show_bytes(experts).c_str(), 100 * resident, 100 * hits);
  std::printf("  writing %.1f tokens/s; behind 4,096 tokens %.1f\n",
              1 / engine::decode_seconds(costs, machine, hits, true),
              1 / engine::decode_seconds(costs, machine, hits, true, 4096));
  for (const double tokens : {512.0, 2048.0, 8192.0}) {
    const double seconds = engine::prefill_seconds(costs, machine, tokens, resident, chunk);
    std::printf("  reading %5.0f tokens: %7.1f s (%.0f tokens/s)\n", tokens, seconds,
                tokens / seconds);
  }
  std::printf("\n");
}

int run_plan(const PlanFlags& flags) {
  std::vector<Subject> subjects;
  engine::MachineSpeed machine;
  const bool described = !flags.disk.empty() && !flags.memory.empty() && !flags.arithmetic.empty();
  if (!flags.model.empty()) {
    auto options = configured_options(flags.model);
    options.prefix_ram_bytes = 0;
    const auto engine = load_with_progress(options, ::isatty(STDERR_FILENO) == 1);
    if (!described) machine = engine::measure_machine(*engine);
    subjects.push_back({flags.model, engine->config(), engine::weight_form(*engine)});
  } else {
    if (!described) {
      // Any checkpoint tells how fast memory and arithmetic are; its disk may be another one.
      const auto engine = load_with_progress(configured_options(""), false);
      machine = engine::measure_machine(*engine);
    }
    const engine::Config shapes = engine::published_config(48, 512);
    subjects.push_back({"Qwen3-Coder-Next-FP8", shapes, engine::WeightForm::fp8});
    subjects.push_back(
        {"Qwen3-Next-80B-A3B-Instruct-FP8 and -Thinking-FP8", shapes, engine::WeightForm::fp8});
    subjects.push_back({"the BF16 originals", shapes, engine::WeightForm::bf16});
  }
  if (!flags.memory.empty()) machine.memory = rate_of(flags.memory, "--memory");
  if (!flags.disk.empty()) machine.disk = rate_of(flags.disk, "--disk");
  if (!flags.arithmetic.empty()) machine.arithmetic = rate_of(flags.arithmetic, "--arithmetic");
  double ram = static_cast<double>(engine::read_memory().available);
  if (!flags.ram.empty()) {
    const auto given = parse_byte_count(flags.ram);
    if (!given) throw Error("--ram " + flags.ram + ": a size such as 32G is expected");
    ram = static_cast<double>(*given);
  }
  std::printf("memory %.1f GB/s, disk %.2f GB/s, arithmetic %.0f GFLOP/s; %s of memory free\n\n",
              machine.memory * 1e-9, machine.disk * 1e-9, machine.arithmetic * 1e-9,
              show_bytes(ram).c_str());
  if (flags.model.empty() && flags.disk.empty()) {
    std::printf(
        "The disk was measured with the small reads of the embedded checkpoint; an expert of\n"
        "these is 3 MiB and comes faster: name its bandwidth with --disk.\n\n");
  }
  for (const Subject& subject : subjects) print_plan(subject, flags, machine, ram);
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "plan", "Predicts memory and speed of a checkpoint on this machine, or on one described");
  auto flags = std::make_shared<PlanFlags>();
  command->add_option("model", flags->model,
                      "Directory of a checkpoint; without it, the published ones");
  command->add_option("--ram", flags->ram, "Memory that is free, such as 28G (else measured)");
  command->add_option("--experts-memory", flags->experts, "Memory for experts (else worked out)");
  command->add_option("--memory", flags->memory, "Read bandwidth of memory, such as 50G/s");
  command->add_option("--disk", flags->disk, "Read bandwidth of the disk, such as 3.5G/s");
  command->add_option("--arithmetic", flags->arithmetic, "F32 operations a second, such as 400G/s");
  command->add_option("--context", flags->context, "Tokens of a prompt and its answer")
      ->check(CLI::Range(1, 262144))
      ->capture_default_str();
  command
      ->add_option("--routing", flags->routing,
                   "text: as measured on text; uniform: as in a synthetic checkpoint")
      ->check(CLI::IsMember({"text", "uniform"}))
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  hearth plan\n"
      "  hearth plan --ram 32G --memory 50G/s --disk 3.5G/s --arithmetic 500G/s\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_plan(*flags); }; });
}

}  // namespace hearth::daemon
