// The GEMMs in three parts of BF16 on tiles; gemm.hpp has the definition. A file that
// includes this has defined the registers that panels.hpp asks for, 16 floats wide, with
// `spread_halves` beside them, and
//
//   class Tiles {  // eight tiles of up to 16 rows of 64 bytes
//     explicit Tiles(int height);  // of the tiles 0 … 5; 6 and 7 have 16 rows
//     template <int to> void zero();
//     template <int to> void load(const char* from, Index stride);
//     template <int from> void store(float* to, Index stride);
//     template <int sums, int left, int right> void multiply_add();  // TDPBF16PS
//   };
//
// The weights are the left operand: a tile is 16 weight rows of 32 columns as they are in memory,
// so BF16 is taken from there and F8 widened without changing places. The right operand, pairs of
// columns below each other, of each 16 activation rows, is what is packed here. A tile of sums has
// a weight row in each line, so results are transposed on their way out.
#include "kernels/cpu/gemm/panels.hpp"

namespace hearth::kernels::cpu {
namespace {

constexpr int side = 16;          // rows of a tile, and its pairs or F32 in a row
constexpr int tile_columns = 32;  // that a product of two tiles takes up
constexpr int part_count = 3;     // low, middle, high
constexpr Index tile_bytes = side * 64;
static_assert(width == side && panel_rows % (4 * side) == 0 && gemm_rows % side == 0);

// A group of 16 rows' block of columns: [32 columns][part] tiles.
constexpr PackedRows packed_parts = {
    .bytes = gemm_columns / tile_columns * part_count * tile_bytes / side, .group = side};
constexpr Index group_bytes = packed_parts.bytes * side;

// --- Packing -------------------------------------------------------------------------------------

// Column i of the 16 rows' i-th values becomes row i.
inline void transpose(Codes (&rows)[side]) {
  Codes in_lanes[4][4];  // [rows 4i … 4i + 3][column % 4], a lane for every four columns
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Codes four[4] = {rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3]};
    transpose_in_lanes(four, in_lanes[i]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    Codes lanes_of[4] = {in_lanes[0][j], in_lanes[1][j], in_lanes[2][j], in_lanes[3][j]};
    transpose_lanes(lanes_of);
#pragma GCC unroll 4
    for (int lane = 0; lane < 4; ++lane) rows[4 * lane + j] = lanes_of[lane];
  }
}

struct Parts {
  std::uint32_t low, middle, high;  // in the upper half; what is in the lower one does not count
};

// Written without branches, so that the compilers make vectors of it.
inline Parts split(float x) {
  constexpr std::uint32_t infinity = 0x7f800000u, upper = 0xffff0000u, quiet = 0x00400000u;
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const float rest = x - __builtin_bit_cast(float, bits& upper);  // exact
  const std::uint32_t middle = __builtin_bit_cast(std::uint32_t, rest) & upper;
  const float last = rest - __builtin_bit_cast(float, middle);  // exact
  const std::uint32_t finite = magnitude < infinity ? upper : 0;
  return {.low = __builtin_bit_cast(std::uint32_t, last) & finite,
          .middle = middle & finite,
          .high = magnitude > infinity ? bits | quiet : bits};
}

// 32 columns of 16 rows, as [column][row], to their three tiles.
inline void store_parts(const float (&columns)[tile_columns][side], std::byte* to) {
  auto* const tiles = reinterpret_cast<std::uint32_t*>(to);
  constexpr int part = tile_bytes / 4;
  for (int pair = 0; pair < side; ++pair)
    for (int row = 0; row < side; ++row) {
      const Parts first = split(columns[2 * pair][row]), second = split(columns[2 * pair + 1][row]);
      std::uint32_t* const at = tiles + pair * side + row;
      constexpr std::uint32_t upper = 0xffff0000u;
      at[0] = first.low >> 16 | (second.low & upper);
      at[part] = first.middle >> 16 | (second.middle & upper);
      at[2 * part] = first.high >> 16 | (second.high & upper);
    }
}

// Behind the last column and row follow zeros.
void pack_parts(const Packing& p) {
  for (Index group = 0; group * side < p.rows; ++group) {
    const Index left = p.rows - group * side;
    std::byte* to = p.to + group * group_bytes;
    for (Index c = 0; c < p.columns; c += tile_columns, to += part_count * tile_bytes) {
      const float* x = p.x + group * side * p.x_stride + c;
      Index stride = p.x_stride;
      float some[side][tile_columns];
      if (left < side || p.columns - c < tile_columns) {
        const Index count = p.columns - c < tile_columns ? p.columns - c : tile_columns;
        __builtin_memset(some, 0, sizeof some);
        for (Index row = 0; row < side && row < left; ++row)
          __builtin_memcpy(some[row], x + row * stride,
                           static_cast<std::size_t>(count) * sizeof(float));
        x = some[0];
        stride = tile_columns;
      }
      float columns[tile_columns][side];
      for (int half = 0; half < tile_columns; half += side) {
        Codes rows[side];
#pragma GCC unroll 16
        for (int row = 0; row < side; ++row) rows[row] = load_codes(x + row * stride + half);
        transpose(rows);
#pragma GCC unroll 16
        for (int i = 0; i < side; ++i) store_codes(columns[half + i], rows[i]);
      }
      store_parts(columns, to);
    }
  }
}

// --- Weights -------------------------------------------------------------------------------------

// A panel's weights as BF16: tiles are taken out of its rows.
struct WeightRows {
  const char* data;
  Index row_bytes;
};

constexpr Index panel_row_bytes = gemm_columns * 2;

// Each row's codes widened in their places; behind the last column follow zeros, behind the last
// row it again.
inline void widen_rows(const Source& s, Panel& panel) {
  constexpr Index step = 64;
  for (Index row = 0; row < panel_rows; ++row) {
    char* const to = panel.units + row * panel_row_bytes;
    for (Index at = 0; at < s.bytes; at += step) {
      const Codes codes = load_part<false, step>(s, row, at, load_codes);
      const Halves bf16 = f8_to_bf16(spread_halves(codes));
      store_codes(to + 2 * at, unpack_low_8(bf16.low, bf16.high));
      store_codes(to + 2 * at + step, unpack_high_8(bf16.low, bf16.high));
    }
  }
}

inline void copy_rows(const Source& s, Panel& panel) {
  constexpr Index step = 64;
  for (Index row = 0; row < panel_rows; ++row)
    for (Index at = 0; at < s.bytes; at += step)
      store_codes(panel.units + row * panel_row_bytes + at,
                  load_part<false, step>(s, row, at, load_codes));
}

template <class Format>
inline WeightRows weight_rows(const Source& s, Panel& panel) {
  if constexpr (Format::size == 1) {
    widen_rows(s, panel);
  } else {
    if (s.rows == panel_rows && s.bytes % (tile_columns * Format::size) == 0)
      return {s.data, s.row_bytes};
    copy_rows(s, panel);
  }
  return {panel.units, panel_row_bytes};
}

// --- Products ------------------------------------------------------------------------------------

// todo.operator()<i>() for every i from 0 to count - 1: the numbers of tiles are parts of
// instructions.
template <int count, int i = 0, class Todo>
inline __attribute__((always_inline)) void each(const Todo& todo) {
  if constexpr (i < count) {
    todo.template operator()<i>();
    each<count, i + 1>(todo);
  }
}

// Four tiles of sums (0 … 3), of G groups of activation rows times W · 16 weight rows, over one
// block of columns: as many as hide the latency of a multiplication, which is a little more than
// three times what one takes. A load takes half as long as a multiplication, beside which it runs.
//   Two by two, which all rows have but the last few: activations in 4 and 5, weights in 6 and 7,
// which stay for all parts; that is 8 loads for 12 multiplications. One by four: the parts of the
// activations in 4, 5 and 6, which stay for all weights in 7; 7 loads for 12.
template <int G, int W>
[[gnu::noinline]] void block_of_tiles(Tiles& tiles, const char* x, const WeightRows& weights,
                                      Index columns, const float* scales, bool fresh,
                                      float* totals) {
  static_assert((G == 2 && W == 2) || (G == 1 && W == 4));
  alignas(64) float sums[G * W][side][side];
  const auto load_weights = [&]<int to>(Index c, int w) __attribute__((always_inline)) {
    tiles.load<to>(weights.data + w * side * weights.row_bytes + c * 2, weights.row_bytes);
  };
  each<G * W>([&]<int i>() { tiles.zero<i>(); });
  for (Index c = 0; c < columns; c += tile_columns) {
    const char* const at = x + c / tile_columns * part_count * tile_bytes;
    if constexpr (G == 2) {
      each<W>([&]<int w>() { load_weights.template operator()<6 + w>(c, w); });
      each<part_count>([&]<int part>() {
        each<G>([&]<int g>() { tiles.load<4 + g>(at + g * group_bytes + part * tile_bytes, 64); });
        each<G>([&]<int g>() {
          each<W>([&]<int w>() { tiles.multiply_add<g * W + w, 6 + w, 4 + g>(); });
        });
      });
    } else {
      each<part_count>([&]<int part>() { tiles.load<4 + part>(at + part * tile_bytes, 64); });
      each<W>([&]<int w>() {
        load_weights.template operator()<7>(c, w);
        each<part_count>([&]<int part>() { tiles.multiply_add<w, 7, 4 + part>(); });
      });
    }
  }
  each<G * W>([&]<int i>() { tiles.store<i>(sums[i][0], sizeof sums[i][0]); });

  for (int g = 0; g < G; ++g)
    for (int w = 0; w < W; ++w)
#pragma GCC unroll 16
      for (int row = 0; row < side; ++row) {
        float* const total = totals + (w * side + row) * gemm_rows + g * side;
        const Floats sum = load_floats(sums[g * W + w][row]);
        store_floats(total,
                     fma(sum, set(scales[w * side + row]), fresh ? zero() : load_floats(total)));
      }
}

// The results of totals that stand as [weight row][gemm_rows].
inline void store_transposed(const GemmArguments& p, const Totals& totals, Index first,
                             Index count) {
  for (Index w = 0; w < count; w += side)
    for (Index r = 0; r < p.rows; r += side) {
      Codes rows[side];
#pragma GCC unroll 16
      for (int i = 0; i < side; ++i) rows[i] = load_codes(totals + (w + i) * gemm_rows + r);
      transpose(rows);
      const Index width_left = count - w < side ? count - w : side;
      for (Index i = 0; i < side && r + i < p.rows; ++i) {
        float* const to = p.y + (r + i) * p.y_stride + first + w;
        if (width_left == side)
          store_codes(to, rows[i]);
        else
          __builtin_memcpy(to, &rows[i], static_cast<std::size_t>(width_left) * sizeof(float));
      }
    }
}

template <class Format>
void product_in_parts(const GemmArguments& p) {
  if (p.rows == 0) return;
  Panel panel;
  Tiles tiles(side);
  const Index groups = (p.rows + side - 1) / side;
  go_through_panels<Format>(
      p, packed_parts.bytes,
      [&](const Source& source, Index begin, Index columns, const PanelScales& scales,
          Totals& totals) {
        const WeightRows weights = weight_rows<Format>(source, panel);
        const auto* x = reinterpret_cast<const char*>(p.x + begin / gemm_columns * p.x_stride);
        const bool fresh = begin == 0;
        Index group = 0;
        for (; group + 2 <= groups; group += 2)
          for (Index w = 0; w < source.rows; w += 2 * side)
            block_of_tiles<2, 2>(tiles, x + group * group_bytes,
                                 {weights.data + w * weights.row_bytes, weights.row_bytes}, columns,
                                 scales + w, fresh, totals + w * gemm_rows + group * side);
        if (group < groups)
          block_of_tiles<1, 4>(tiles, x + group * group_bytes, weights, columns, scales, fresh,
                               totals + group * side);
      },
      [&](const Totals& totals, Index first, Index count) {
        store_transposed(p, totals, first, count);
      });
}

}  // namespace
}  // namespace hearth::kernels::cpu

#include "kernels/cpu/gemm/vector.hpp"

namespace hearth::kernels::cpu {
namespace {

constexpr GemmTable table_in_parts = {
    .in_parts = true,
    .piece_work = gemm_table.piece_work,
    .pack = {pack, pack, pack_parts, pack_parts},
    .product = {gemm_product<F32>, gemm_product<F16>, product_in_parts<Bf16>, product_in_parts<F8>},
    .packed = {{}, {}, packed_parts, packed_parts},
};

}  // namespace
}  // namespace hearth::kernels::cpu
