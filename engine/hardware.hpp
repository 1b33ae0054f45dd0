// What this machine offers to compute with, found without loading a checkpoint.
#pragma once

#include <optional>
#include <vector>

#include "kernels/ops.hpp"

namespace hearth::engine {

struct Hardware {
  // That the processor runs and this build has, the plainest first.
  std::vector<kernels::Isa> isas;
  kernels::Isa isa = kernels::Isa::scalar;  // what an Engine would compute with
  kernels::CudaDevices cuda;
};

// `forced` as EngineOptions::isa. Runs the kernels' self-checks. Throws Error where this machine
// lacks what is forced.
Hardware find_hardware(std::optional<kernels::Isa> forced);

}  // namespace hearth::engine
