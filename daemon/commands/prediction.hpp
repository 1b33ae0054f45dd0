// Memory and speed of a checkpoint on a machine, predicted from shapes and measured speeds: what
// `hearth plan` and `hearth models` say.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/measure/measurements.hpp"

namespace CLI {
class App;
}

namespace hearth::daemon {

// A checkpoint of which only the shapes are needed.
struct Subject {
  std::string name;
  engine::ModelConfig config;
  engine::WeightForm form = engine::WeightForm::fp8;
  bool mtp = false;          // whether the checkpoint has the MTP head
  std::int64_t context = 0;  // tokens of a prompt and its answer
};

Subject subject_of(std::string name, const engine::CheckpointShape& shape);
// The one whose shapes are published under that name ("qwen3.6-35b-a3b"), called `name`.
Subject published_subject(const std::string& shape, std::string name, std::int64_t context);

// What the prediction is made for.
struct Machine {
  engine::MachineSpeed speed;
  engine::MemoryView memory;
  std::map<engine::WeightForm, engine::KernelSpeed> kernels;  // on weights of a subject's shapes
};

// What the command line says of a machine; the rest is this one's.
struct DescribedMachine {
  std::optional<std::uint64_t> ram;  // bytes free
  std::optional<double> disk;        // bytes a second
  std::optional<double> memory;      // bytes a second
  std::optional<double> arithmetic;  // operations a second

  bool whole() const { return ram && disk && memory && arithmetic; }
};
void add_machine_options(CLI::App& command, DescribedMachine& described);
// With what is described in place of what `here` has. The kernels reach the same shares of another
// bandwidth and peak; where all is described `here` is not looked at, and they reach the usual
// ones.
Machine described_machine(const DescribedMachine& described, const Machine& here);

// Measures this machine, and the kernels on the first subject of each form: ten seconds, and four
// for each further form. `options` are those of any checkpoint. A line on a terminal's stderr says
// so meanwhile.
Machine measure_here(const engine::EngineOptions& options, const std::vector<Subject>& subjects);

// The same, remembered in the state directory by the program's version and its processor; `again`:
// measured in any case. The memory is looked at each time.
Machine remembered_here(const engine::EngineOptions& options, const std::vector<Subject>& subjects,
                        bool again);

// The share of a token's experts that is found where so large a share of all is kept.
using HitRate = std::function<double(double resident)>;
double hits_on_text(double resident);        // as others measured it with the 80B
double hits_if_uniform(double resident);     // as in a dummy checkpoint
HitRate hits_of_trace(engine::Trace trace);  // as the cache would have had them there

// How much of a model is in memory, and what is found there.
struct Division {
  engine::Costs costs;
  engine::MemoryPlan plan;
  double resident = 0;  // share of the experts
  double hits = 0;      // share of their uses

  // Throws engine::Error where it does not fit.
  Division(const Subject& subject, const HitRate& hit_rate, const engine::EngineOptions& options,
           const engine::MemoryView& memory);

  // Tokens a second behind `depth` tokens, without speculation.
  double decode_speed(const Machine& machine, engine::WeightForm form, double depth = 0) const;
};

}  // namespace hearth::daemon
