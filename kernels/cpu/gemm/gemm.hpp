// The table of the GEMMs: what a thread does in one piece of a product of many rows.
// Like table.hpp, plain pointers and no library types; arguments are checked already.
//
// Definition (f32). Weights are widened exactly. Every block of 128 columns is summed in rising
// order of the column, sum = fma(w, x, sum) from 0, and goes to the total, which begins at 0, as
// total = fma(sum, scale, total); scale is 1 for the formats without. So a row's bits depend on its
// own values alone.
//
// Definition (bf16x3), for processors that multiply tiles of BF16. F32 and F16 weights, which BF16
// cannot hold, follow the definition above. For BF16 and F8 weights x is cut in three BF16 numbers:
// high = x without its lower 16 bits, middle = x - high likewise, low = x - high - middle, which
// has no more than eight bits left; the latter two are 0 where x is infinite or NaN. Every block is
// again a sum from 0: for each 32 columns in rising order, first the products with low, then those
// with middle, then those with high go to it as TDPBF16PS adds them, namely the products of the
// even columns by fma in rising order from 0, those of the odd ones likewise, and
// sum = sum + (even + odd); here subnormal numbers count as zero. The total is as above, and a
// row's bits depend on its own values alone here too.
//   The parts leave nothing of x out; a product of two BF16 is exact in F32, and each goes through
// at most 29 additions and one for every block from its own on: 2^-24 of the sum of all
// |w·x·scale| each. Up to 8192 columns a result is therefore within 2^-17 Σ|w·x·scale| of the exact
// one, where nothing is subnormal: nearer than F32's own definition. An infinite weight may give
// NaN (infinity times low).
//   (Two parts, rounded to nearest, take a third less of multiplications but leave out 2^-17 |x|.
// That moves a small model's logits by 4e-4, ten times what F32 does, and tips picks of the
// router.)
//
// How it is fast: 64 weight rows × 128 columns at a time are transposed into a panel that stays in
// the core's cache, where a register holds one column of several weight rows; every activation row
// then meets it as broadcasts. Tiles take the weights as they are, F8 widened: what is transposed
// for them are the activations, once for all weight rows, and the results (bf16x3.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/rows/table.hpp"

namespace hearth::kernels::cpu {

// Columns that are summed before the scale: the side of a scale's block.
constexpr int gemm_columns = scale_block;
// Weight rows of a panel; divides the side of a scale's block.
constexpr int panel_rows = 64;
// Activation rows of one call at most.
constexpr int gemm_rows = 128;
// Bytes of a packed row's block of columns as F32.
constexpr int packed_bytes = gemm_columns * 4;

// What activation rows take up packed: `bytes` for each row of a block of columns, in groups of so
// many rows, of which the last has room for all. Where a group begins, a product may.
struct PackedRows {
  std::int64_t bytes = packed_bytes;
  std::int64_t group = 1;
};

// Packs one block of columns of some activation rows: row r, where a group begins, to `to` +
// r · PackedRows::bytes. The layout there is private to the table; what a function packs
// suits every format that names it.
struct Packing {
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;  // ≤ gemm_columns
  std::byte* to = nullptr;   // 64-byte aligned
};

// y[r][w] = weights[w] · x[r] for w in [first, last) and r in [0, rows), rows ≤ gemm_rows.
struct GemmArguments {
  Weights weights;
  std::int64_t first = 0;  // a multiple of panel_rows
  std::int64_t last = 0;
  const std::byte* x = nullptr;  // packed
  std::int64_t x_stride = 0;     // bytes from one block of columns to the next
  float* y = nullptr;            // of weight row 0
  std::int64_t y_stride = 0;
  std::int64_t rows = 0;
};

struct GemmTable {
  bool in_parts;            // follows the definition bf16x3, else f32
  std::int64_t piece_work;  // multiply-adds of a piece at most, so that one takes less than 5 ms
  void (*pack[format_count])(const Packing&);
  void (*product[format_count])(const GemmArguments&);
  PackedRows packed[format_count] = {};
};

// scalar.cpp is the definition (f32); the others give its bits, but for amx_gemm in BF16
// and F8 (see above).
extern const GemmTable scalar_gemm;
extern const GemmTable avx2_gemm;
extern const GemmTable avx512_gemm;
extern const GemmTable avx512_vbmi_gemm;
extern const GemmTable amx_gemm;

}  // namespace hearth::kernels::cpu
