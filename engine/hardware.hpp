// What this machine offers to compute with, found without loading a checkpoint.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/ops.hpp"

namespace hearth::engine {

struct Hardware {
  std::vector<std::string> isas;  // that the processor runs and this build has, the plainest first
  std::string isa;                // what an Engine would compute with
  int cuda_devices = 0;
};

// `forced` as EngineOptions::isa. Runs the kernels' self-checks. Throws Error where this machine
// lacks what is forced.
Hardware find_hardware(std::optional<kernels::Isa> forced);

}  // namespace hearth::engine
