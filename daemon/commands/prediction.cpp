// Divides memory as the engine would, and asks the model of costs.
#include "daemon/commands/prediction.hpp"

#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "daemon/commands/arguments.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/platform/private_directory.hpp"
#include "daemon/platform/version.hpp"
#include "engine/dummy/dummy.hpp"
#include "engine/hardware.hpp"
#include "engine/support/atomic_file.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr const char* remembered_name = "machine.json";
constexpr std::size_t largest_remembered = 1 << 16;

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

// A described machine is taken to reach the same shares of its bandwidth and peak as this one.
engine::KernelSpeed scaled(engine::KernelSpeed kernels, const engine::MachineSpeed& here,
                           const engine::MachineSpeed& there) {
  kernels.products *= there.memory / here.memory;
  kernels.shortlist *= there.memory / here.memory;
  const double factor = there.arithmetic / here.arithmetic;
  for (auto& gemm : kernels.gemm) gemm.flops *= factor;
  kernels.delta_rule *= factor;
  kernels.attention *= factor;
  return kernels;
}

// What makes another program or machine of it.
json circumstances(const engine::EngineOptions& options) {
  const auto isa = engine::find_hardware(options.host().isa).isa;
  return {{"build", build()},
          {"isa", static_cast<int>(isa)},
          {"threads", options.host().threads},
          {"cores", std::thread::hardware_concurrency()}};
}

json to_json(const engine::KernelSpeed& speed) {
  json gemm = json::array();
  for (const auto& each : speed.gemm) gemm.push_back({each.rows, each.flops});
  return {{"products", speed.products},
          {"shortlist", speed.shortlist},
          {"gemm", std::move(gemm)},
          {"deltaRule", speed.delta_rule},
          {"attention", speed.attention}};
}

engine::KernelSpeed kernels_from(const json& read) {
  engine::KernelSpeed speed{
      read.at("products"), read.at("shortlist"), {}, read.at("deltaRule"), read.at("attention")};
  for (const json& each : read.at("gemm")) speed.gemm.push_back({each.at(0), each.at(1)});
  return speed;
}

// Empty where nothing is remembered, of something else, or not of all forms.
std::optional<Machine> recall(const std::filesystem::path& file, const json& now,
                              const std::vector<Subject>& subjects) {
  const auto text = engine::read_own_file(file, largest_remembered);
  if (!text) return std::nullopt;
  try {
    const json read = json::parse(*text);
    if (read.at("of") != now) return std::nullopt;
    Machine machine;
    machine.speed = {read.at("memory"), read.at("disk"), read.at("arithmetic")};
    for (const auto& [form, kernels] : read.at("kernels").items()) {
      machine.kernels[static_cast<engine::WeightForm>(std::stoi(form))] = kernels_from(kernels);
    }
    for (const Subject& subject : subjects) {
      if (!machine.kernels.contains(subject.form)) return std::nullopt;
    }
    return machine;
  } catch (const std::exception&) {  // damaged, or of another version: measured again
    return std::nullopt;
  }
}

void remember(const Paths& paths, const json& now, const Machine& machine) {
  json kernels = json::object();
  for (const auto& [form, speed] : machine.kernels)
    kernels[std::to_string(static_cast<int>(form))] = to_json(speed);
  try {
    PrivateDirectory(paths.state)
        .write(remembered_name, json{{"of", now},
                                     {"memory", machine.speed.memory},
                                     {"disk", machine.speed.disk},
                                     {"arithmetic", machine.speed.arithmetic},
                                     {"kernels", std::move(kernels)}}
                                    .dump(1));
  } catch (const std::exception&) {
    // It is measured again next time.
  }
}

}  // namespace

Subject subject_of(std::string name, const engine::CheckpointShape& shape) {
  return {std::move(name), shape.config, shape.form, shape.mtp, shape.context};
}

Subject published_subject(const std::string& shape, std::string name, std::int64_t context) {
  const auto all = engine::published_models();
  const auto model = std::ranges::find(all, shape, &engine::PublishedModel::name);
  return {std::move(name), model->config, model->form, model->mtp, context};
}

void add_machine_options(CLI::App& command, DescribedMachine& described) {
  const auto rate = [&](const char* name, std::optional<double>& a_second, const char* meaning) {
    command.add_option(name, a_second, meaning)
        ->transform(CLI::Validator(to_rate, ""))
        ->type_name("SPEED");
  };
  command.add_option("--ram", described.ram, "Free memory, such as 28G (default: this machine's)")
      ->transform(CLI::Validator(to_bytes, ""))
      ->type_name("SIZE");
  rate("--memory", described.memory, "Read bandwidth of memory, such as 50G/s");
  rate("--disk", described.disk, "Read bandwidth of the disk, such as 3.5G/s");
  rate("--arithmetic", described.arithmetic, "F32 operations a second, such as 400G/s");
}

Machine described_machine(const DescribedMachine& described, const Machine& here) {
  Machine machine = here;
  if (described.ram) machine.memory = {.available = *described.ram};
  machine.speed = {described.memory.value_or(here.speed.memory),
                   described.disk.value_or(here.speed.disk),
                   described.arithmetic.value_or(here.speed.arithmetic)};
  if (described.whole()) {
    for (const auto form :
         {engine::WeightForm::fp8, engine::WeightForm::fp8_rows, engine::WeightForm::bf16})
      machine.kernels[form] = engine::usual_kernels(machine.speed, form);
  } else {
    for (auto& [form, kernels] : machine.kernels)
      kernels = scaled(kernels, here.speed, machine.speed);
  }
  return machine;
}

Machine measure_here(const engine::EngineOptions& options, const std::vector<Subject>& subjects) {
  // Any checkpoint tells how fast this machine is; few of its experts do.
  engine::EngineOptions small = options;
  small.host().expert_memory = std::uint64_t{512} << 20;
  small.prefix_ram_bytes = 0;
  Machine machine;
  machine.memory = engine::read_memory();
  const bool show = ::isatty(STDERR_FILENO) == 1;
  const auto loaded = load_with_progress(small, show);
  if (show) std::fputs("measuring this machine, about ten seconds…", stderr);
  engine::wait_until_warm(*loaded, nullptr);  // small ones are read ahead all the same
  machine.speed = engine::measure_machine(*loaded);
  for (const Subject& subject : subjects) {
    if (machine.kernels.contains(subject.form)) continue;
    machine.kernels[subject.form] =
        engine::measure_kernels(loaded->backend(), subject.config, subject.form);
  }
  if (show) std::fputs("\r\x1b[K", stderr);
  return machine;
}

Machine remembered_here(const engine::EngineOptions& options, const std::vector<Subject>& subjects,
                        bool again) {
  const Paths paths = find_paths();
  const json now = circumstances(options);
  if (!again) {
    if (auto machine = recall(paths.below_state(remembered_name), now, subjects)) {
      machine->memory = engine::read_memory();
      return *machine;
    }
  }
  Machine machine = measure_here(options, subjects);
  remember(paths, now, machine);
  return machine;
}

double hits_on_text(double resident) {
  if (resident >= 1) return 1;
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

double hits_if_uniform(double resident) {
  return std::min(resident, 1.0);
}

HitRate hits_of_trace(engine::Trace trace) {
  return [trace = std::move(trace)](double resident) {
    const double experts = double{1} * trace.layers * trace.experts_per_layer;
    const auto slots = static_cast<std::size_t>(std::min(resident, 1.0) * experts);
    if (slots == 0) return 0.0;
    return engine::replay(trace, engine::PolicyKind::lrfu, engine::default_half_life, slots)
        .hit_rate();
  };
}

Division::Division(const Subject& subject, const HitRate& hit_rate,
                   const engine::EngineOptions& options, const engine::MemoryView& memory)
    : plan(divide(subject, options, memory, costs)),
      resident(engine::resident_share(plan, costs)),
      hits(hit_rate(resident)) {}

double Division::decode_speed(const Machine& machine, engine::WeightForm form, double depth) const {
  return 1 / engine::decode_seconds(costs, machine.speed, machine.kernels.at(form), hits,
                                    plan.shortlist > 0, depth);
}

}  // namespace hearth::daemon
