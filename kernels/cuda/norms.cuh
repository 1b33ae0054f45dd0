// Norms: a row, or a group of it, is one warp's, whose lanes are the sum's.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/lanes.cuh"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cuda {

// The row or group of this warp.
HEARTH_DEVICE std::int64_t own_warp() {
  return block_x() * (norm_threads / warp) + thread() / warp;
}

HEARTH_DEVICE float sum_of_squares(const float* x, int dim) {
  float sum = 0;
  for (int i = lane(); i < dim; i += warp) sum = std::fma(x[i], x[i], sum);
  return fold_sum(sum);
}

HEARTH_KERNEL void rms_norm(const Norm a) {
  const std::int64_t row = own_warp();
  if (row >= a.rows) return;
  const float* const x = a.x + row * a.x_stride;
  const float inverse =
      1.0f / std::sqrt(sum_of_squares(x, a.dim) / static_cast<float>(a.dim) + a.number);
  float* const out = a.out + row * a.out_stride;
  for (int i = lane(); i < a.dim; i += warp) out[i] = x[i] * inverse * (1.0f + a.weight[i]);
}

HEARTH_KERNEL void gated_rms_norm(const Norm a) {
  const std::int64_t row = own_warp();
  if (row >= a.rows) return;
  const float* const x = a.x + row * a.dim;
  const float* const z = a.z + row * a.dim;
  const float inverse =
      1.0f / std::sqrt(sum_of_squares(x, a.dim) / static_cast<float>(a.dim) + a.number);
  float* const out = a.out + row * a.dim;
  for (int i = lane(); i < a.dim; i += warp) out[i] = x[i] * inverse * a.weight[i] * silu(z[i]);
}

HEARTH_KERNEL void l2_norm(const Norm a) {
  const std::int64_t piece = own_warp();
  if (piece >= a.rows * a.groups) return;
  float* const x = a.out + piece / a.groups * a.out_stride + piece % a.groups * a.dim;
  const float inverse = 1.0f / std::sqrt(sum_of_squares(x, a.dim) + 1e-6f);
  for (int i = lane(); i < a.dim; i += warp) x[i] = x[i] * inverse * a.number;
}

}  // namespace hearth::kernels::cuda
