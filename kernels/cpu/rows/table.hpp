// One table of functions per ISA: what a thread does in one piece of an operation. Plain pointers
// and no library types, so that the vector files, compiled for their own instruction set, leave no
// inline function behind that the linker could hand to others. Arguments are checked already.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/host_device.hpp"

namespace hearth::kernels::cpu {

// Lanes of a sum; the unit in which everything is defined (see ops.hpp).
constexpr int lanes = 32;
// Side of an f8_e4m3 scale's block.
constexpr int scale_block = 128;
// On AVX2 an f8_e4m3 code becomes a number most quickly as its value times 2^-120. Activations
// beside it are therefore packed times 2^92, and the sums are 2^-28 of what they stand for: both
// exact for activations of 2^-89 and more and less than 2^36, since no sum then has a bit below
// F32's last. What is smaller counts as zero and what is larger as infinite, on every ISA; where
// the codes come at their value, the packing takes 2^92 back. (2^28 times a block's scale must
// be finite: see ops.hpp.)
constexpr float f8_up = 0x1p92f;
constexpr float f8_down = 0x1p-92f;
constexpr float f8_sum_up = 0x1p28f;
constexpr float f8_least = 0x1p-89f;
HEARTH_HOST_DEVICE constexpr float f8_activation(float x) {
  return (-f8_least < x && x < f8_least ? x * 0 : x) * f8_up;
}
// How far ahead of the products their weights are fetched into the second-level cache, in bytes:
// far enough for the memory's answer to be there, and little beside a piece.
constexpr int prefetch_distance = 16384;
constexpr int cache_line = 64;
// Positions of a delta rule's segment, and the value columns of one call at most.
constexpr int delta_segment = 64;
constexpr int delta_columns = 128;
// Taps of a convolution's kernel at most.
constexpr int conv_taps = 16;
// Keys of one step of the streaming softmax; steps of one span. A query's spans are computed apart
// and merged in order, so that a long context is many pieces of work.
constexpr int key_block = 64;
constexpr int key_span = 4 * key_block;

// Rows of numbers in one of the formats of DType.
struct Weights {
  const void* data = nullptr;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  // elements from one row to the next
  // f8_e4m3. As blocks of 128 × 128 have them: [ceil(rows/128)][scale_stride]; the strides make one
  // scale a row, or one for all, of the same.
  const float* scales = nullptr;
  std::int64_t scale_stride = 0;  // from the scales of 2^scale_shift rows to the next ones
  int scale_shift = 7;
  int scale_step = 1;  // from a block of columns to the next; 0: they share one
};

// The scales of a weight row; that of the block of columns around c is at c / 128 · scale_step.
HEARTH_HOST_DEVICE constexpr const float* row_scales(const Weights& weights, std::int64_t row) {
  return weights.scales + (row >> weights.scale_shift) * weights.scale_stride;
}

// Values that a packed row of activations takes.
constexpr std::int64_t packed_size(std::int64_t cols) {
  return (cols + scale_block - 1) / scale_block * scale_block;
}

// From one packed row to the next. The odd KiB keeps the same columns of a few rows from
// competing for the same lines of the first cache.
constexpr std::int64_t packed_stride(std::int64_t cols) {
  return packed_size(cols) + 256;
}

// y[r][w] = weights[w] · x[r] for w in [first, last) and r in [0, rows). The rows of x have been
// through the table's `pack_activations` of the weights' format.
struct Product {
  Weights weights;
  std::int64_t first = 0;
  std::int64_t last = 0;
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  float* y = nullptr;  // of weight row 0
  std::int64_t y_stride = 0;
  std::int64_t rows = 0;
};

// Columns of a shortlist's row come in whole multiples of this; behind the last one its codes are
// 0.
constexpr int shortlist_unit = 64;

// The sums by which a shortlist's rows [first, last) are judged, exact integers: for each of
// `count` rows of activations sums[(w - first) · count + v] = Σ_c codes[w][c] · x[v][c].
struct ShortlistSums {
  const std::int8_t* codes = nullptr;  // [rows][cols], |code| ≤ 127
  std::int64_t cols = 0;               // a multiple of shortlist_unit
  std::int64_t first = 0;
  std::int64_t last = 0;
  const std::int16_t* x = nullptr;  // [count][cols], |x| ≤ 32767, anything behind the last column
  int count = 0;
  std::int64_t* sums = nullptr;
};

// All rows of the channels [first, last) of a convolution.
struct Convolution {
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* history_in = nullptr;
  float* history_out = nullptr;  // may be history_in
  float* out = nullptr;
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  std::int64_t kernel = 0;  // ≤ conv_taps
  std::int64_t first = 0;
  std::int64_t last = 0;
};

// At most 64 rows of one value head, at most 64 columns of its values. Pointers stand at the head's
// and column's first value; a stride leads from one row to the next.
struct DeltaHead {
  int rows = 0;
  int key_dim = 0;
  int columns = 0;
  const float* q = nullptr;
  std::int64_t q_stride = 0;
  const float* k = nullptr;
  std::int64_t k_stride = 0;
  const float* v = nullptr;
  std::int64_t v_stride = 0;
  const float* g = nullptr;
  const float* beta = nullptr;
  std::int64_t gate_stride = 0;
  const float* state_in = nullptr;  // [key_dim][state_stride]
  float* state_out = nullptr;       // may be state_in
  std::int64_t state_stride = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
};

// One query row and one KV head on the `count` ≤ key_span keys of a span.
struct AttentionSpan {
  int heads = 0;  // query heads of this KV head
  int head_dim = 0;
  int count = 0;
  float scale = 1;
  const float* q = nullptr;      // [heads][head_dim]
  const void* keys = nullptr;    // of the span's first position
  const void* values = nullptr;  // the same
  std::int64_t kv_stride = 0;    // elements from one position to the next
  float* partial = nullptr;      // out: [heads][head_dim + 2], see AttentionMerge
};

// Joins one query head's spans. A partial is the sum of exp(score - largest) · value [head_dim],
// then the largest score, then the sum of exp(score - largest).
struct AttentionMerge {
  int head_dim = 0;
  float* total = nullptr;          // a partial, in and out
  const float* partial = nullptr;  // the next span's
};

struct CombineRow {
  const float* y = nullptr;  // [slots][dim]
  const float* weights = nullptr;
  int slots = 0;
  const float* shared = nullptr;
  float shared_gate = 0;
  const float* residual = nullptr;
  float* out = nullptr;
  std::int64_t dim = 0;
};

// Order of the arrays: that of DType.
enum Format { format_f32, format_f16, format_bf16, format_f8, format_count };

struct Table {
  // Copies one row of activations in the order in which `product` wants it; `to` has room for
  // packed_size(cols) values.
  void (*pack_activations[format_count])(const float* x, float* to, std::int64_t cols);
  void (*product[format_count])(const Product&);
  void (*widen[format_count])(const void* from, float* to, std::int64_t count);

  void (*shortlist)(const ShortlistSums&);

  void (*rms_norm)(const float* x, const float* weight, float* out, std::int64_t dim, float eps);
  void (*gated_rms_norm)(const float* x, const float* z, const float* weight, float* out,
                         std::int64_t dim, float eps);
  void (*l2_norm)(float* x, std::int64_t dim, float scale);
  void (*rope)(float* x, const float* cos, const float* sin, std::int64_t half);
  void (*conv_silu)(const Convolution&);

  void (*delta_step)(const DeltaHead&);
  void (*delta_chunk)(const DeltaHead&);

  void (*attention_span[2])(const AttentionSpan&);  // format_f32, format_f16
  void (*attention_merge)(const AttentionMerge&);

  void (*silu_mul)(const float* gate, const float* up, float* out, std::int64_t count);
  void (*sigmoid_mul)(const float* gate, const float* x, float* out, std::int64_t count);
  void (*add)(const float* x, const float* y, float* out, std::int64_t count);
  void (*combine)(const CombineRow&);
  void (*softmax)(float* x, std::int64_t dim);
};

// scalar.cpp is the definition; the others give its bits.
extern const Table scalar_table;
extern const Table avx2_table;
extern const Table avx2_f16_table;  // the same, but F8's product goes through F16 (f8_choice.hpp)
extern const Table avx512_table;

// The F8 product of avx2_table.
void product_f8_avx2(const Product& p);
void pack_f8_avx2(const float* x, float* to, std::int64_t cols);
// A better product[format_f8] for processors with AVX512_VBMI; x packed by avx512_table.
void product_f8_vbmi(const Product& p);

// The same code on every ISA, in scalar.cpp: a few values a row.
bool fits_f16(const float* x, std::int64_t count);
void narrow_f16(const float* from, std::uint16_t* to, std::int64_t count);
void delta_gates(const float* b, const float* a, const float* a_log, const float* dt_bias,
                 float* beta, float* g, std::int64_t heads);
// k ≤ dim; NaN counts as less than every number.
void top_k(const float* x, std::int64_t dim, int k, std::int32_t* ids, float* values);

}  // namespace hearth::kernels::cpu
