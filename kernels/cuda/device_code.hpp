// The kernels as nvcc made them.
#pragma once

#include "kernels/cuda/kernels.hpp"

namespace hearth::kernels::cuda {

const Kernels& device_code();

}  // namespace hearth::kernels::cuda
