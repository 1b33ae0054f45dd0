// Launches the gated delta rule.
#pragma once

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/operands.hpp"
#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

// A launch for each segment of the sequence.
void launch_delta_rule(Runtime& runtime, const Kernels& kernels, const DeltaRule& args,
                       DeltaForm form);

}  // namespace hearth::kernels::cuda
