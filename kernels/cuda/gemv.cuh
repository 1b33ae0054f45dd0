// Products of a few rows in the reference summation order. Eight threads have four of the 32 lanes
// each of one weight row, so four rows are a warp's, and what a warp reads at a time are whole
// sectors of 32 bytes. A lane's sum is never cut over threads.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/lanes.cuh"

namespace hearth::kernels::cuda {

static_assert(gemv_parts == sum_parts);
constexpr int gemv_lanes = cpu::lanes / gemv_parts;  // of a thread
constexpr int gemv_tile = 512;                       // columns of x that a block holds at a time

// The product that a block of threads works on.
HEARTH_DEVICE const Product& product_of_block(const Products& products) {
  const auto block = static_cast<unsigned>(block_x());
  int i = 0;
  while (i + 1 < products.count && block >= products.product[i + 1].first) ++i;
  return products.product[i];
}

// rows: of x at a time. aligned: four neighbours may be loaded at once.
template <int format, int rows, bool aligned>
HEARTH_KERNEL void gemv(const Products products) {
  HEARTH_SHARED float tile[rows][gemv_tile];
  constexpr bool f8 = format == cpu::format_f8;
  const Product& p = product_of_block(products);
  const int first_row = static_cast<int>(block_y()) * rows;
  if (first_row >= p.rows) return;  // all threads of the block
  const int count = rows < p.rows - first_row ? rows : p.rows - first_row;
  const auto cols = static_cast<int>(p.w.cols);
  const float* const x = p.x + std::int64_t{first_row} * cols;
  const std::int64_t out = (block_x() - p.first) * gemv_out + thread() / gemv_parts;
  const int part = thread() % gemv_parts;
  const auto* const w =
      static_cast<const std::uint8_t*>(p.w.data) + out * p.w.stride * size_of_format<format>;

  Quarter sums[rows] = {};
  Quarter totals[rows] = {};
  bool nan = false;
  for (int begin = 0; begin < cols; begin += gemv_tile) {
    const int columns = gemv_tile < cols - begin ? gemv_tile : cols - begin;
    barrier();
    for (int i = thread(); i < rows * gemv_tile; i += gemv_threads) {
      const int r = i / gemv_tile;
      const int c = i % gemv_tile;
      if (r >= count || c >= columns) continue;
      const float value = x[std::int64_t{r} * cols + begin + c];
      tile[r][c] = f8 ? cpu::f8_activation(value) : value;
    }
    barrier();
    if (out >= p.out) continue;
    for (int block = 0; block < columns; block += cpu::scale_block) {
      // All of a block is under way before the first of it is needed.
      constexpr int steps = cpu::scale_block / cpu::lanes;
      Four<format> fours[steps];
      int there[steps];  // of the four: a lane without a column keeps its sum, whose sign a zero
                         // that is added could change
      for (int step = 0; step < steps; ++step) {
        const int c = block + step * cpu::lanes + part * gemv_lanes;
        there[step] = gemv_lanes < columns - c ? gemv_lanes : columns - c;
        if (there[step] <= 0) continue;
        if constexpr (aligned) {
          fours[step] = load<Four<format>>(w + std::int64_t{begin + c} * size_of_format<format>);
        } else {
          fours[step] = gather<format>(w, begin + c, there[step]);
        }
      }
      for (int step = 0; step < steps; ++step) {
        const int c = block + step * cpu::lanes + part * gemv_lanes;
        if (there[step] <= 0) break;
        if constexpr (f8) nan = nan || has_nan(fours[step].words[0]);
        for (int i = 0; i < gemv_lanes; ++i) {
          if (i >= there[step]) break;
          const float value = factor<format>(fours[step], i);
          for (int r = 0; r < rows; ++r)
            if (r < count) sums[r].lane[i] = std::fma(value, tile[r][c + i], sums[r].lane[i]);
        }
      }
      if constexpr (f8) {
        const std::int64_t number = (begin + block) / cpu::scale_block;
        const float scale = cpu::row_scales(p.w, out)[number * p.w.scale_step];
        for (int r = 0; r < rows; ++r)
          for (int i = 0; i < gemv_lanes; ++i) {
            totals[r].lane[i] =
                std::fma(sums[r].lane[i] * cpu::f8_sum_up, scale, totals[r].lane[i]);
            sums[r].lane[i] = 0;
          }
      }
    }
  }
  if constexpr (f8)
    for (int r = 0; r < rows; ++r)
      for (int i = 0; i < gemv_lanes; ++i)
        sums[r].lane[i] = nan ? __builtin_nanf("") : totals[r].lane[i];
  for (int r = 0; r < rows; ++r) {
    const float sum = fold_sum(sums[r]);
    if (part == 0 && out < p.out && r < count) p.y[(first_row + r) * p.out + out] = sum;
  }
}

}  // namespace hearth::kernels::cuda
