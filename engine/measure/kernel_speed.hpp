// How fast the kernels compute what a model of given shapes asks for, measured on made-up weights:
// predictions need no checkpoint, and follow the kernels as they become faster.
#pragma once

#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/measure/cost.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// Takes about four seconds and 500 MiB. One thread at a time, like the Backend.
KernelSpeed measure_kernels(kernels::Backend& backend, const ModelConfig& config, WeightForm form);

}  // namespace hearth::engine
