// The table of the blocked products: what a thread does in one piece of a product of many rows.
// Like table.hpp, plain pointers and no library types; arguments are checked already.
//
// Definition (f32). Weights are widened exactly. Every block of 128 columns is summed in rising
// order of the column, sum = fma(w, x, sum) from 0, and goes to the total, which begins at 0, as
// total = fma(sum, scale, total); scale is 1 for the formats without. So a row's bits depend on its
// own values alone.
//
// How it is fast: 64 weight rows × 128 columns at a time are transposed into a panel that stays in
// the core's cache, where a register holds one column of several weight rows; every activation row
// then meets it as broadcasts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/table.hpp"

namespace hearth::kernels::cpu {

// Columns that are summed before the scale: the side of a scale's block.
constexpr int blocked_columns = scale_block;
// Weight rows of a panel; divides the side of a scale's block.
constexpr int panel_rows = 64;
// Activation rows of one call at most.
constexpr int blocked_rows = 128;
// Bytes of a packed row's block of columns.
constexpr int packed_bytes = blocked_columns * 4;

// Packs one block of columns of some activation rows: row r to `to` + r · packed_bytes. What lies
// there is the business of the table alone.
struct Packing {
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;  // ≤ blocked_columns
  std::byte* to = nullptr;   // 64-byte aligned
};

// y[r][w] = weights[w] · x[r] for w in [first, last) and r in [0, rows), rows ≤ blocked_rows.
struct BlockedProduct {
  Weights weights;
  std::int64_t first = 0;  // a multiple of panel_rows
  std::int64_t last = 0;
  const std::byte* x = nullptr;  // packed
  std::int64_t x_stride = 0;     // bytes from one block of columns to the next
  float* y = nullptr;            // of weight row 0
  std::int64_t y_stride = 0;
  std::int64_t rows = 0;
};

struct BlockedTable {
  std::int64_t piece_work;  // multiply-adds of a piece at most, so that one takes less than 5 ms
  void (*pack[format_count])(const Packing&);
  void (*product[format_count])(const BlockedProduct&);
};

// blocked_scalar.cpp is the definition; the others give its bits.
extern const BlockedTable scalar_blocked;
extern const BlockedTable avx2_blocked;
extern const BlockedTable avx512_blocked;
extern const BlockedTable avx512_vbmi_blocked;

}  // namespace hearth::kernels::cpu
