// `hearth plan`: what a machine, this one or one described, would make of a checkpoint.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>

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
  engine::WeightForm form = engine::WeightForm::fp8;
  bool mtp = false;          // whether the checkpoint has the MTP head
  std::int64_t context = 0;  // tokens of a prompt and its answer
};

// What the plan is made for.
struct Machine {
  engine::MachineSpeed speed;
  engine::KernelSpeed kernels;  // on weights of a subject's shapes
  engine::MemoryView memory;
};

// Memory as the engine would divide it: with the MTP head where all experts fit with its own.
engine::MemoryPlan divide(const Subject& subject, const engine::EngineOptions& options,
                          const engine::MemoryView& memory, engine::Costs& costs) {
  costs = engine::costs_of(subject.config, subject.form, true);
  if (subject.mtp && options.mtp != engine::MtpUse::off) {
    const auto plan =
        engine::plan_memory(costs, options, subject.config, subject.context, memory, subject.name);
    const bool all = static_cast<double>(plan.experts) >= std::floor(costs.all_expert_bytes());
    if (all || options.mtp == engine::MtpUse::always) return plan;
  }
  costs = engine::costs_of(subject.config, subject.form);
  return engine::plan_memory(costs, options, subject.config, subject.context, memory, subject.name);
}

void print_plan(const Subject& subject, const PlanFlags& flags,
                const engine::EngineOptions& options, const Machine& machine) {
  engine::Costs costs;
  engine::MemoryPlan plan;
  try {
    plan = divide(subject, options, machine.memory, costs);
  } catch (const engine::Error& error) {
    std::printf("%s does not fit:\n  %s\n\n", subject.name.c_str(), error.what());
    return;
  }
  std::printf("%s: %s of experts, %s always in memory%s\n", subject.name.c_str(),
              show_bytes(costs.all_expert_bytes()).c_str(), show_bytes(costs.dense_bytes()).c_str(),
              costs.mtp_bytes > 0 ? ", the MTP head included" : "");
  const auto experts = static_cast<double>(plan.experts);
  const double resident = std::min(1.0, experts / std::floor(costs.all_expert_bytes()));
  const double hits = hit_rate(resident, flags.routing == "text");
  const bool screened = plan.screen > 0;
  const auto chunk =
      static_cast<double>(engine::chunk_rows(options, subject.config, subject.context));
  std::printf("  experts %s in memory (%.0f %%), found there %.1f %% of the time\n",
              show_bytes(experts).c_str(), 100 * resident, 100 * hits);
  const auto writing = [&](double depth) {
    return 1 / engine::decode_seconds(costs, machine.speed, machine.kernels, hits, screened, depth);
  };
  std::printf("  products: %.1f GB/s of weights in writing, %.0f GFLOP/s in reading\n",
              machine.kernels.products * 1e-9, machine.kernels.blocked.back().flops * 1e-9);
  std::printf("  writing %.1f tokens/s; behind 4,096 tokens %.1f; without guesses\n", writing(0),
              writing(4096));
  for (const double tokens : {512.0, 2048.0, 8192.0}) {
    const double seconds =
        engine::prefill_seconds(costs, machine.speed, machine.kernels, tokens, resident, chunk);
    std::printf("  reading %5.0f tokens: %7.1f s (%.0f tokens/s)\n", tokens, seconds,
                tokens / seconds);
  }
  std::printf("\n");
}

// As the options say, else as measured.
engine::MachineSpeed described(engine::MachineSpeed speed, const PlanFlags& flags) {
  if (!flags.memory.empty()) speed.memory = rate_of(flags.memory, "--memory");
  if (!flags.disk.empty()) speed.disk = rate_of(flags.disk, "--disk");
  if (!flags.arithmetic.empty()) speed.arithmetic = rate_of(flags.arithmetic, "--arithmetic");
  return speed;
}

// A described machine is taken to reach the same shares of its bandwidth and peak as this one.
engine::KernelSpeed scaled(engine::KernelSpeed kernels, const engine::MachineSpeed& here,
                           const engine::MachineSpeed& there) {
  kernels.products *= there.memory / here.memory;
  kernels.screening *= there.memory / here.memory;
  const double factor = there.arithmetic / here.arithmetic;
  for (auto& blocked : kernels.blocked) blocked.flops *= factor;
  kernels.mixing *= factor;
  kernels.attention *= factor;
  return kernels;
}

std::uint64_t size_of(const std::string& text, const char* option) {
  const auto bytes = parse_byte_count(text);
  if (!bytes) throw Error(std::string(option) + " " + text + ": a size such as 32G is expected");
  return *bytes;
}

std::vector<Subject> published(std::int64_t context) {
  const engine::Config shapes = engine::published_config(48, 512);
  using Form = engine::WeightForm;
  return {{"Qwen3-Coder-Next-FP8", shapes, Form::fp8, false, context},
          {"Qwen3-Next-80B-A3B-Instruct-FP8 and -Thinking-FP8", shapes, Form::fp8, true, context},
          {"the BF16 originals", shapes, Form::bf16, true, context}};
}

int run_plan(const PlanFlags& flags) {
  engine::EngineOptions options = configured_options(flags.model);
  if (!flags.experts.empty()) options.experts.memory = size_of(flags.experts, "--experts-memory");
  Machine machine;
  machine.memory = engine::read_memory();
  if (!flags.ram.empty()) machine.memory = {.available = size_of(flags.ram, "--ram")};

  // Any checkpoint tells how fast this machine is; few of its experts do.
  engine::EngineOptions small = options;
  small.experts.memory = std::uint64_t{512} << 20;
  small.prefix_ram_bytes = 0;
  const auto loaded = load_with_progress(small, ::isatty(STDERR_FILENO) == 1);
  engine::wait_until_warm(*loaded, nullptr);  // small ones are read ahead all the same
  const engine::MachineSpeed here = engine::measure_machine(*loaded);
  machine.speed = described(here, flags);
  const std::vector<Subject> subjects =
      flags.model.empty()
          ? published(flags.context)
          : std::vector<Subject>{{flags.model, loaded->config(), engine::weight_form(*loaded),
                                  engine::offers_mtp(*loaded), loaded->context()}};

  std::printf("memory %.1f GB/s, disk %.2f GB/s, arithmetic %.0f GFLOP/s; %s of memory free\n\n",
              machine.speed.memory * 1e-9, machine.speed.disk * 1e-9,
              machine.speed.arithmetic * 1e-9,
              show_bytes(static_cast<double>(machine.memory.available)).c_str());
  if (flags.model.empty() && flags.disk.empty()) {
    std::printf(
        "The disk was measured with the small reads of the embedded checkpoint; an expert of\n"
        "these is 3 MiB and comes faster: name its bandwidth with --disk.\n\n");
  }
  std::optional<engine::WeightForm> measured;
  for (const Subject& subject : subjects) {
    if (measured != subject.form) {
      const auto kernels = engine::measure_kernels(loaded->backend(), subject.config, subject.form);
      machine.kernels = scaled(kernels, here, machine.speed);
      measured = subject.form;
    }
    print_plan(subject, flags, options, machine);
  }
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
  command
      ->add_option("--context", flags->context,
                   "Tokens of a prompt and its answer, for the published ones")
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
