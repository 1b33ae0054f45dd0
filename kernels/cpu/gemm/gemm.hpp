// The table of the blocked products: what a thread does in one piece of a product of many rows.
// Like table.hpp, plain pointers and no library types; arguments are checked already.
//
// Definition (f32). Weights are widened exactly. Every block of 128 columns is summed in rising
// order of the column, sum = fma(w, x, sum) from 0, and goes to the total, which begins at 0, as
// total = fma(sum, scale, total); scale is 1 for the formats without. So a row's bits depend on its
// own values alone.
//
// Definition (bf16x2), for processors that multiply tiles of BF16. F32 and F16 weights, which BF16
// cannot hold, follow the definition above. For BF16 and F8 weights x is cut in two BF16 numbers,
// high = x rounded to nearest (to the largest finite number rather than to infinity) and low =
// x - high rounded to nearest, 0 where x is infinite or NaN. Every block is again a sum from 0: for
// each 32 columns in rising order, first the products with high, then those with low go to it as
// TDPBF16PS adds them, namely the products of the even columns by fma in rising order from 0, those
// of the odd ones likewise, and sum = sum + (even + odd); here subnormal numbers count as zero. The
// total is as above, and a row's bits depend on its own values alone here too.
//   The parts leave 2^-17 |x| out; a product of two BF16 is exact in F32, and each goes through at
// most 24 additions and one for every block from its own on: 2^-24 of the sum of all |w·x·scale|
// each. Up to 8192 columns a result is therefore within 2^-16 Σ|w·x·scale| of the exact one, where
// nothing is subnormal. An infinite weight may give NaN (infinity times low).
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
// there is the business of the table alone; what a function packs suits every format that names it.
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
  bool two_parts;           // follows the definition bf16x2, else f32
  std::int64_t piece_work;  // multiply-adds of a piece at most, so that one takes less than 5 ms
  void (*pack[format_count])(const Packing&);
  void (*product[format_count])(const BlockedProduct&);
};

// blocked_scalar.cpp is the definition (f32); the others give its bits, but for amx_blocked in BF16
// and F8 (see above).
extern const BlockedTable scalar_blocked;
extern const BlockedTable avx2_blocked;
extern const BlockedTable avx512_blocked;
extern const BlockedTable avx512_vbmi_blocked;
extern const BlockedTable amx_blocked;

}  // namespace hearth::kernels::cpu
