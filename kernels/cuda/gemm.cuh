// Products of many rows as kernels/cpu/gemm/gemm.hpp defines them for F32, with its bits: blocks of
// 128 columns, each summed in rising order. A block of threads computes 64 weight rows for 64 rows
// of x, a thread 4 × 4 of them.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/gemv.cuh"

namespace hearth::kernels::cuda {

constexpr int gemm_own = 4;     // of a thread's
constexpr int gemm_depth = 32;  // columns at a time; divides a scale's block

template <int format>
HEARTH_KERNEL void gemm(const Products products) {
  constexpr int across = gemm_side / gemm_own;
  HEARTH_SHARED float w_tile[gemm_side][gemm_depth + 1];  // one more, so that columns are in
  HEARTH_SHARED float x_tile[gemm_side][gemm_depth + 1];  // different banks
  const Product& p = product_of_block(products);
  const auto first_row = static_cast<int>(block_y()) * gemm_side;
  if (first_row >= p.rows) return;  // all threads of the block
  const auto cols = static_cast<int>(p.w.cols);
  const std::int64_t first_out = (block_x() - p.first) * gemm_side;
  const int own_out = thread() % across;
  const int own_row = thread() / across;

  float sums[gemm_own][gemm_own] = {};
  float totals[gemm_own][gemm_own] = {};
  for (int begin = 0; begin < cols; begin += gemm_depth) {
    const int columns = gemm_depth < cols - begin ? gemm_depth : cols - begin;
    barrier();
    for (int i = thread(); i < gemm_side * gemm_depth; i += gemm_threads) {
      const int at = i / gemm_depth;
      const int c = i % gemm_depth;
      if (c >= columns) continue;
      if (first_out + at < p.out) {
        const std::int64_t index = (first_out + at) * p.w.stride + begin + c;
        w_tile[at][c] =
            p.aligned ? aligned_weight<format>(p.w.data, index) : weight<format>(p.w.data, index);
      }
      if (first_row + at < p.rows)
        x_tile[at][c] = p.x[std::int64_t{first_row + at} * cols + begin + c];
    }
    barrier();
    // What is outside the matrix computes with what the tile held before, and is not stored.
    for (int c = 0; c < columns; ++c)
      for (int i = 0; i < gemm_own; ++i)
        for (int r = 0; r < gemm_own; ++r)
          sums[i][r] = std::fma(w_tile[own_out + i * across][c], x_tile[own_row + r * across][c],
                                sums[i][r]);
    const int end = begin + columns;
    if (end % cpu::scale_block != 0 && end != cols) continue;
    for (int i = 0; i < gemm_own; ++i) {
      const std::int64_t out = first_out + own_out + i * across;
      float scale = 1;
      if constexpr (format == cpu::format_f8)
        if (out < p.out)
          scale = cpu::row_scales(p.w, out)[begin / cpu::scale_block * p.w.scale_step];
      for (int r = 0; r < gemm_own; ++r) {
        totals[i][r] = std::fma(sums[i][r], scale, totals[i][r]);
        sums[i][r] = 0;
      }
    }
  }
  for (int i = 0; i < gemm_own; ++i)
    for (int r = 0; r < gemm_own; ++r) {
      const std::int64_t out = first_out + own_out + i * across;
      const int row = first_row + own_row + r * across;
      if (out < p.out && row < p.rows) p.y[row * p.out + out] = totals[i][r];
    }
}

}  // namespace hearth::kernels::cuda
