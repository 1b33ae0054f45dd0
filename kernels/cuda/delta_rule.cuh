// The gated delta rule in its two forms (kernels/cpu/rows/scalar.cpp has the formulas). A block of
// threads has 128 value columns of one head, a thread one of them with its whole state.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/lanes.cuh"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cuda {

// The arguments of this block's head, and the number of this thread's column in it.
HEARTH_DEVICE cpu::DeltaHead own_head(const DeltaHeads& a) {
  cpu::DeltaHead own = a.first;
  const std::int64_t head = block_y();
  const std::int64_t key = head / a.heads_per_key * own.key_dim;
  own.q += key;
  own.k += key;
  own.v += head * own.columns;
  own.g += head;
  own.beta += head;
  own.state_in += head * own.key_dim * own.state_stride;
  own.state_out += head * own.key_dim * own.state_stride;
  own.out += head * own.columns;
  return own;
}

// Steps through memory rather than computing each address, for which there are no registers left.
template <int keys>
HEARTH_DEVICE void hold(float* held, const float* from, std::int64_t stride) {
  for (int i = 0; i < keys; ++i, from += stride) held[i] = *from;
}
template <int keys>
HEARTH_DEVICE void release(const float* held, float* to, std::int64_t stride) {
  for (int i = 0; i < keys; ++i, to += stride) *to = held[i];
}

// keys: the key dim, whose states are kept in registers; 0: any, and they are not.
template <int keys>
HEARTH_KERNEL void delta_step(const DeltaHeads heads) {
  // volatile: else they are loaded long before they are needed, into registers that are not there.
  HEARTH_SHARED volatile float q[max_key_dim];
  HEARTH_SHARED volatile float k[max_key_dim];
  const cpu::DeltaHead a = own_head(heads);
  const std::int64_t c = block_x() * delta_threads + thread();
  const bool own = c < a.columns;
  const int key_dim = keys > 0 ? keys : a.key_dim;
  float held[keys > 0 ? keys : 1];
  if (own) hold<keys>(held, a.state_in + c, a.state_stride);

  for (int t = 0; t < a.rows; ++t) {
    barrier();
    for (int i = thread(); i < key_dim; i += delta_threads) {
      q[i] = a.q[t * a.q_stride + i];
      k[i] = a.k[t * a.k_stride + i];
    }
    barrier();
    if (!own) continue;
    const float decay = exp_f32(a.g[t * a.gate_stride]);
    const float* const before = t == 0 ? a.state_in : a.state_out;
    float recalled = 0;
    for (int i = 0; i < key_dim; ++i) {
      const std::int64_t at = i * a.state_stride + c;
      const float s = (keys > 0 ? held[keys > 0 ? i : 0] : before[at]) * decay;
      if constexpr (keys > 0) {
        held[i] = s;
      } else {
        a.state_out[at] = s;
      }
      recalled = std::fma(s, k[i], recalled);
    }
    const float d = (a.v[t * a.v_stride + c] - recalled) * a.beta[t * a.gate_stride];
    float out = 0;
    for (int i = 0; i < key_dim; ++i) {
      const std::int64_t at = i * a.state_stride + c;
      const float s = std::fma(k[i], d, keys > 0 ? held[keys > 0 ? i : 0] : a.state_out[at]);
      if constexpr (keys > 0) {
        held[i] = s;
      } else {
        a.state_out[at] = s;
      }
      out = std::fma(s, q[i], out);
    }
    a.out[t * a.out_stride + c] = out;
  }
  if (own) release<keys>(held, a.state_out + c, a.state_stride);
}

// A dot product in the reference summation order, by eight threads with four lanes each.
HEARTH_DEVICE float dot(const float* a, const float* b, int count) {
  constexpr int own = cpu::lanes / sum_parts;
  Quarter sums{};
  for (int begin = lane() % sum_parts * own; begin < count; begin += cpu::lanes)
    for (int i = 0; i < own; ++i)
      if (begin + i < count) sums.lane[i] = std::fma(a[begin + i], b[begin + i], sums.lane[i]);
  return fold_sum(sums);
}

HEARTH_DEVICE float recall(const cpu::DeltaHead& a, const float* x, std::int64_t c) {
  float result = 0;
  for (int i = 0; i < a.key_dim; ++i)
    result = std::fma(a.state_in[i * a.state_stride + c], x[i], result);
  return result;
}

// One segment.
HEARTH_KERNEL void delta_chunk(const DeltaHeads heads) {
  HEARTH_SHARED float sums[cpu::delta_segment];
  HEARTH_SHARED float of_k[cpu::delta_segment];
  HEARTH_SHARED float of_q[cpu::delta_segment];
  const cpu::DeltaHead a = own_head(heads);
  const std::int64_t c = block_x() * delta_threads + thread();
  const bool own = c < a.columns;
  float u[cpu::delta_segment];
  if (thread() == 0) {
    float total = 0;
    for (int t = 0; t < a.rows; ++t) sums[t] = total = total + a.g[t * a.gate_stride];
  }
  for (int t = 0; t < a.rows; ++t) {
    const float* const q = a.q + t * a.q_stride;
    const float* const k = a.k + t * a.k_stride;
    barrier();
    for (int first = 0; first <= t; first += delta_threads / sum_parts) {
      const int s = first + thread() / sum_parts;
      const bool there = s <= t;
      const float* const earlier = a.k + (there ? s : t) * a.k_stride;
      const float with_k = dot(k, earlier, a.key_dim);
      const float with_q = dot(q, earlier, a.key_dim);
      if (!there || lane() % sum_parts != 0) continue;
      const float since = exp_f32(sums[t] - sums[s]);
      of_k[s] = since * with_k;
      of_q[s] = since * with_q;
    }
    barrier();
    if (!own) continue;
    const float decay = exp_f32(sums[t]);
    float rest = std::fma(-decay, recall(a, k, c), a.v[t * a.v_stride + c]);
    for (int s = 0; s < t; ++s) rest = std::fma(-of_k[s], u[s], rest);
    u[t] = a.beta[t * a.gate_stride] * rest;
    float out = decay * recall(a, q, c);
    for (int s = 0; s <= t; ++s) out = std::fma(of_q[s], u[s], out);
    a.out[t * a.out_stride + c] = out;
  }
  if (!own) return;
  const float total = sums[a.rows - 1];
  const float decay = exp_f32(total);
  for (int i = 0; i < a.key_dim; ++i) {
    const std::int64_t at = i * a.state_stride + c;
    float value = decay * a.state_in[at];
    for (int s = 0; s < a.rows; ++s)
      value = std::fma(exp_f32(total - sums[s]) * a.k[s * a.k_stride + i], u[s], value);
    a.state_out[at] = value;
  }
}

}  // namespace hearth::kernels::cuda
