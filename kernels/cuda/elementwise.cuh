// A thread for each value: activations, sums, gates, RoPE, the convolution's channels, the
// combination of the experts' outputs.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/rows.cuh"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cuda {

HEARTH_KERNEL void silu_mul(const Elementwise a) {
  const std::int64_t i = own_value();
  if (i < a.count) a.out[i] = silu(a.a[i]) * a.b[i];
}

HEARTH_KERNEL void sigmoid_mul(const Elementwise a) {
  const std::int64_t i = own_value();
  if (i < a.count) a.out[i] = sigmoid(a.a[i]) * a.b[i];
}

HEARTH_KERNEL void add(const Elementwise a) {
  const std::int64_t i = own_value();
  if (i < a.count) a.out[i] = a.a[i] + a.b[i];
}

HEARTH_KERNEL void delta_gates(const DeltaGates a) {
  const std::int64_t i = own_value();
  if (i >= a.count) return;
  const std::int64_t head = i % a.heads;
  a.beta[i] = sigmoid(a.b[i]);
  a.g[i] = -exp_f32(a.a_log[head]) * softplus(a.a[i] + a.dt_bias[head]);
}

HEARTH_KERNEL void rope(const Rope a) {
  const std::int64_t i = own_value();
  if (i >= a.rows * a.heads * a.half) return;
  const std::int64_t at = i % a.half;
  const std::int64_t row = i / a.half / a.heads;
  float* const x = a.x + i / a.half * a.head_dim + at;
  const float cos = a.cos[row * a.half + at];
  const float sin = a.sin[row * a.half + at];
  const float first = x[0];
  const float second = x[a.half];
  x[0] = first * cos - second * sin;
  x[a.half] = second * cos + first * sin;
}

// Of a channel input t; the history is before 0.
HEARTH_DEVICE float conv_input(const cpu::Convolution& a, std::int64_t t, std::int64_t c) {
  return t < 0 ? a.history_in[(a.kernel - 1 + t) * a.channels + c] : a.x[t * a.channels + c];
}

// A thread has a channel with all its rows, so that the history may be written where it was read.
HEARTH_KERNEL void conv_silu(const cpu::Convolution a) {
  const std::int64_t c = own_value();
  if (c >= a.channels) return;
  const std::int64_t past = a.kernel - 1;
  for (std::int64_t t = 0; t < a.rows; ++t) {
    float total = 0;
    for (std::int64_t j = 0; j < a.kernel; ++j)
      total = std::fma(a.weight[c * a.kernel + j], conv_input(a, t - past + j, c), total);
    a.out[t * a.channels + c] = silu(total);
  }
  for (std::int64_t i = 0; i < past; ++i)
    a.history_out[i * a.channels + c] = conv_input(a, a.rows - past + i, c);
}

HEARTH_KERNEL void combine(const Combine a) {
  const std::int64_t i = own_value();
  if (i >= std::int64_t{a.rows} * a.dim) return;
  const std::int64_t row = i / a.dim;
  const float* const y = a.y + row * a.slots * a.dim + i % a.dim;
  float total = 0;
  for (int s = 0; s < a.slots; ++s)
    total = std::fma(a.weights[row * a.slots + s], y[std::int64_t{s} * a.dim], total);
  a.out[i] = std::fma(sigmoid(a.shared_gate[row]), a.shared[i], total) + a.residual[i];
}

}  // namespace hearth::kernels::cuda
