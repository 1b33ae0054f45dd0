// Attention over the cache: what is appended to it, the partial sums of spans of 256 keys, and
// their merging in order (kernels/cpu/rows/scalar.cpp has the formulas).
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/lanes.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cuda {

template <int format>
HEARTH_KERNEL void kv_append(const KvAppend a) {
  const std::int64_t i = own_value();
  if (i >= a.count) return;
  if constexpr (format == cpu::format_f32) {
    static_cast<float*>(a.keys)[i] = a.k[i];
    static_cast<float*>(a.values)[i] = a.v[i];
  } else {
    if (!fits_f16(a.k[i]) || !fits_f16(a.v[i])) {
      *a.unfit = 1;
      return;
    }
    static_cast<std::uint16_t*>(a.keys)[i] = narrow_f16(a.k[i]);
    static_cast<std::uint16_t*>(a.values)[i] = narrow_f16(a.v[i]);
  }
}

template <int format>
HEARTH_DEVICE float kv_value(const void* data, std::int64_t i) {
  if constexpr (format == cpu::format_f32) return static_cast<const float*>(data)[i];
  return widen_f16(static_cast<const std::uint16_t*>(data)[i]);
}

// key · q: eight threads have four lanes each.
template <int format>
HEARTH_DEVICE float key_dot(const void* keys, std::int64_t key, const float* q, int dim) {
  constexpr int own = cpu::lanes / sum_parts;
  Quarter sums{};
  for (int begin = lane() % sum_parts * own; begin < dim; begin += cpu::lanes)
    for (int i = 0; i < own; ++i)
      if (begin + i < dim)
        sums.lane[i] =
            std::fma(kv_value<format>(keys, key + begin + i), q[begin + i], sums.lane[i]);
  return fold_sum(sums);
}

// A block of threads: one query head of one row on one span.
template <int format>
HEARTH_KERNEL void attention_span(const AttentionSpans a) {
  HEARTH_SHARED float q[max_head_dim];
  HEARTH_SHARED float scores[cpu::key_block];
  HEARTH_SHARED float shared_fade;
  const std::int64_t head = block_x();
  const std::int64_t row = block_y();
  const std::int64_t begin = (a.first_span + block_z()) * cpu::key_span;
  const std::int64_t visible = a.first_position + row + 1 - begin;
  if (visible <= 0) return;  // all threads of the block
  const int count = visible < cpu::key_span ? static_cast<int>(visible) : cpu::key_span;
  const std::int64_t row_head = row * a.heads + head;
  const std::int64_t stride = std::int64_t{a.kv_heads} * a.head_dim;
  const std::int64_t first = begin * stride + head / (a.heads / a.kv_heads) * a.head_dim;
  float* const values = a.partials + (block_z() * a.rows * a.heads + row_head) * (a.head_dim + 2);

  for (int i = thread(); i < a.head_dim; i += attention_threads) {
    q[i] = a.q[row_head * a.head_dim + i];
    values[i] = 0;
  }
  float top = -__builtin_inff();  // these two in the first warp alone
  float weight = 0;
  for (int block = 0; block < count; block += cpu::key_block) {
    const int keys = cpu::key_block < count - block ? cpu::key_block : count - block;
    barrier();
    for (int pass = 0; pass < cpu::key_block; pass += attention_threads / sum_parts) {
      const int j = pass + thread() / sum_parts;
      const bool there = j < keys;
      const float score =
          key_dot<format>(a.keys, first + (block + (there ? j : 0)) * stride, q, a.head_dim);
      if (lane() % sum_parts == 0) scores[j] = there ? score * a.scale : -__builtin_inff();
    }
    barrier();
    if (thread() < warp) {
      float low = scores[lane()];
      float high = scores[lane() + warp];
      const float before = top;
      top = larger(top, fold_larger(larger(larger(-__builtin_inff(), low), high)));
      const float fade = exp_f32(before - top);
      low = exp_f32(low - top);
      high = exp_f32(high - top);
      weight = std::fma(weight, fade, fold_sum(0.0f + low + high));
      scores[lane()] = low;
      scores[lane() + warp] = high;
      if (lane() == 0) shared_fade = fade;
    }
    barrier();
    for (int i = thread(); i < a.head_dim; i += attention_threads) {
      float value = values[i] * shared_fade;
      for (int j = 0; j < keys; ++j)
        value = std::fma(scores[j], kv_value<format>(a.values, first + (block + j) * stride + i),
                         value);
      values[i] = value;
    }
  }
  if (thread() == 0) {
    values[a.head_dim] = top;
    values[a.head_dim + 1] = weight;
  }
}

// A block of threads: one query head of one row. Its totals stay from one call to the next where
// the spans are too many for one; what the last one leaves are the results.
HEARTH_KERNEL void attention_merge(const AttentionMerges a) {
  const std::int64_t row_head = block_x();
  const std::int64_t size = a.head_dim + 2;
  float* const total = a.totals + row_head * size;
  const bool fresh = a.first_span == 0;
  const float first_top = fresh ? -__builtin_inff() : total[a.head_dim];
  const float first_weight = fresh ? 0 : total[a.head_dim + 1];
  float top = first_top;
  float weight = first_weight;
  for (int i = thread(); i < a.head_dim; i += attention_threads) {
    float value = fresh ? 0 : total[i];
    top = first_top;
    weight = first_weight;
    for (int span = 0; span < a.spans; ++span) {
      if ((a.first_span + span) * cpu::key_span > a.first_position + row_head / a.heads) break;
      const float* const partial =
          a.partials + (std::int64_t{span} * a.rows * a.heads + row_head) * size;
      const float their_top = partial[a.head_dim];
      const float both = larger(top, their_top);
      const float ours = exp_f32(top - both);
      const float theirs = exp_f32(their_top - both);
      value = std::fma(partial[i], theirs, value * ours);
      weight = std::fma(partial[a.head_dim + 1], theirs, weight * ours);
      top = both;
    }
    total[i] = value;
    a.out[row_head * a.head_dim + i] = value / weight;
  }
  barrier();  // all have read the first ones
  if (thread() == 0) {
    total[a.head_dim] = top;
    total[a.head_dim + 1] = weight;
  }
}

}  // namespace hearth::kernels::cuda
