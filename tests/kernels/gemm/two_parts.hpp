// The blocked products in two parts of BF16 on tiles; blocked.hpp has the definition. A file that
// includes this has defined the registers that blocked_panels.hpp asks for, 16 floats wide, and
//
//   class Tiles {  // eight tiles of up to 16 rows of 64 bytes
//     explicit Tiles(int height);  // of the tiles 0 … 5; 6 and 7 have 16 rows
//     template <int to> void zero();
//     template <int to> void load(const char* from, Index stride);
//     template <int from> void store(float* to, Index stride);
//     template <int sums, int x, int w> void multiply_add();  // TDPBF16PS
//   };
//
// As a tile of weights serves a panel of pairs as it is: 16 units below each other, of each 16
// weight rows. As a tile of activations serves what is packed here: row by row the high parts of a
// block's columns, behind them the low parts.
#include "kernels/cpu/blocked_panels.hpp"

namespace hearth::kernels::cpu {
namespace {

constexpr int side = 16;          // rows of a full tile, and F32 of its rows
constexpr int tile_columns = 32;  // of the weights, that a tile takes up
constexpr Index part_bytes = packed_bytes / 2;
static_assert(width == side && packed_bytes == 2 * 2 * blocked_columns);

// --- Packing -------------------------------------------------------------------------------------

constexpr std::uint32_t infinity = 0x7f800000u;

// Rounds to what BF16 holds, to nearest, halves to even; in the lower half of the bits stays 0.
inline std::uint32_t rounded(std::uint32_t bits) {
  return (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
}

// Written without branches, so that the compilers make vectors of it.
inline void split(float x, std::uint16_t& high, std::uint16_t& low) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t upper = rounded(bits);
  upper = magnitude < infinity && (upper & infinity) == infinity ? bits & 0xffff0000u : upper;
  upper = magnitude > infinity ? bits | 0x00400000u : upper;
  const float rest = x - __builtin_bit_cast(float, upper & 0xffff0000u);  // exact
  const std::uint32_t lower = rounded(__builtin_bit_cast(std::uint32_t, rest));
  high = static_cast<std::uint16_t>(upper >> 16);
  low = static_cast<std::uint16_t>((magnitude < infinity ? lower : 0) >> 16);
}

// Columns behind the last one become zeros, as in the panels.
void pack_parts(const Packing& p) {
  for (Index r = 0; r < p.rows; ++r) {
    const float* x = p.x + r * p.x_stride;
    float padded[blocked_columns];
    if (p.columns < blocked_columns) {
      for (Index c = 0; c < blocked_columns; ++c) padded[c] = c < p.columns ? x[c] : 0;
      x = padded;
    }
    auto* const high = reinterpret_cast<std::uint16_t*>(p.to + r * packed_bytes);
    auto* const low = reinterpret_cast<std::uint16_t*>(p.to + r * packed_bytes + part_bytes);
    for (Index c = 0; c < blocked_columns; ++c) split(x[c], high[c], low[c]);
  }
}

// --- Tiles ---------------------------------------------------------------------------------------

// todo.operator()<i>() for every i from 0 to count - 1: the numbers of tiles are parts of
// instructions.
template <int count, int i = 0, class Todo>
inline __attribute__((always_inline)) void each(const Todo& todo) {
  if constexpr (i < count) {
    todo.template operator()<i>();
    each<count, i + 1>(todo);
  }
}

// The activation rows of a product in tiles of equal height: the last one begins early enough to be
// full, and what it has in common with the one before it is computed twice.
struct RowTiles {
  explicit RowTiles(Index all)
      : rows(all), height(all < side ? all : side), count((all + side - 1) / side) {}

  Index rows;
  Index height;
  Index count;
  Index begin(Index tile) const {
    const Index last = rows - height;
    return tile * side < last ? tile * side : last;
  }
};

// Four tiles of sums (0 … 3), of R tiles of rows (in 4 and 5) and W tiles of weights (in 6 and 7),
// over one block of columns: as many as hide the latency of a multiplication, which is a little
// more than three times what one takes.
//   Two by two, which all rows have but the last few, that is 6 loads for 8 multiplications. One by
// four they are 10, since a tile of weights does not stay for the low parts. A load takes half as
// long as a multiplication, beside which it runs.
template <int R, int W>
[[gnu::noinline]] void block_of_tiles(Tiles& tiles, const RowTiles& rows, Index tile, const char* x,
                                      const char* panel, Index columns, float scale, bool fresh,
                                      float* totals) {
  static_assert(R * W == 4);
  alignas(64) float sums[R * W][side][side];
  const char* activations[R];
  for (int r = 0; r < R; ++r) activations[r] = x + rows.begin(tile + r) * packed_bytes;
  each<R * W>([&]<int i>() { tiles.zero<i>(); });
  for (Index c = 0; c < columns; c += tile_columns)
    each<2>([&]<int part>() {
      each<R>([&]<int r>() {
        tiles.load<4 + r>(activations[r] + part * part_bytes + c * 2, packed_bytes);
      });
      each<W>([&]<int w>() {
        if constexpr (part == 0 || W > 2)
          tiles.load<6 + w % 2>(panel + c / 2 * unit_bytes + w * side * 4, unit_bytes);
        each<R>([&]<int r>() { tiles.multiply_add<r * W + w, 4 + r, 6 + w % 2>(); });
      });
    });
  each<R * W>([&]<int i>() { tiles.store<i>(sums[i][0], sizeof sums[i][0]); });

  const Floats factor = set(scale);
  for (int r = 0; r < R; ++r) {
    const Index begin = rows.begin(tile + r);
    for (Index row = (tile + r) * side; row < begin + rows.height; ++row)
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
        float* const total = totals + row * panel_rows + w * side;
        const Floats sum = load_floats(sums[r * W + w][row - begin]);
        store_floats(total, fma(sum, factor, fresh ? zero() : load_floats(total)));
      }
  }
}

template <class Format>
void two_part_product(const BlockedProduct& p) {
  static_assert(Format::paired && Format::row_bytes % (tile_columns * Format::size) == 0);
  if (p.rows == 0) return;
  const RowTiles rows(p.rows);
  Tiles tiles(static_cast<int>(rows.height));
  go_through_panels<Format>(p, [&](const Panel& panel, Index begin, Index columns, float scale,
                                   Totals& totals) {
    const char* const x = reinterpret_cast<const char*>(p.x + begin / blocked_columns * p.x_stride);
    const bool fresh = begin == 0;
    Index tile = 0;
    for (; tile + 2 <= rows.count; tile += 2)
      for (int w = 0; w < panel_rows; w += 2 * side)
        block_of_tiles<2, 2>(tiles, rows, tile, x, panel.units + w * 4, columns, scale, fresh,
                             totals[0] + w);
    if (tile < rows.count)
      block_of_tiles<1, 4>(tiles, rows, tile, x, panel.units, columns, scale, fresh, totals[0]);
  });
}

}  // namespace
}  // namespace hearth::kernels::cpu
