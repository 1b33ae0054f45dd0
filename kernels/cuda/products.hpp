// Launches products: a group in as few launches as formats and parameters allow.
#pragma once

#include <span>

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/operands.hpp"
#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

void launch_gemv(Runtime& runtime, const Kernels& kernels, std::span<const MatMul> products);
void launch_gemm(Runtime& runtime, const Kernels& kernels, std::span<const MatMul> products);

}  // namespace hearth::kernels::cuda
