// The GEMMs in two parts of BF16: what hearth did on AMX before it took three, kept to
// show what the third part is for (engine/golden_tiles_test.cpp) and what it costs (bench-prefill).
// Written over the same registers and tiles as kernels/cpu/gemm/bf16x3.hpp, after which it is
// included. For BF16 and F8 weights x is cut in high = x rounded to nearest and low = x - high
// rounded to nearest; 2^-17 |x| is left out.
//
// As a tile of weights serves a panel of pairs as it is: 16 units below each other, of each 16
// weight rows. As a tile of activations serves what is packed here: row by row the high parts of a
// block's columns, behind them the low parts.
namespace hearth::kernels::cpu {
namespace {
namespace two_parts {

constexpr Index part_bytes = packed_bytes / 2;
static_assert(width == side && packed_bytes == 2 * 2 * gemm_columns);

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
    float padded[gemm_columns];
    if (p.columns < gemm_columns) {
      for (Index c = 0; c < gemm_columns; ++c) padded[c] = c < p.columns ? x[c] : 0;
      x = padded;
    }
    auto* const high = reinterpret_cast<std::uint16_t*>(p.to + r * packed_bytes);
    auto* const low = reinterpret_cast<std::uint16_t*>(p.to + r * packed_bytes + part_bytes);
    for (Index c = 0; c < gemm_columns; ++c) split(x[c], high[c], low[c]);
  }
}

// --- Tiles ---------------------------------------------------------------------------------------

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
                                      const char* panel, Index columns, const float* scales,
                                      bool fresh, float* totals) {
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

  for (int r = 0; r < R; ++r) {
    const Index begin = rows.begin(tile + r);
    for (Index row = (tile + r) * side; row < begin + rows.height; ++row)
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) {
        float* const total = totals + row * panel_rows + w * side;
        const Floats sum = load_floats(sums[r * W + w][row - begin]);
        store_floats(total,
                     fma(sum, load_floats(scales + w * side), fresh ? zero() : load_floats(total)));
      }
  }
}

template <class Format>
void product(const GemmArguments& p) {
  static_assert(Format::paired && Format::row_bytes % (tile_columns * Format::size) == 0);
  if (p.rows == 0) return;
  const RowTiles rows(p.rows);
  Panel panel;
  Tiles tiles(static_cast<int>(rows.height));
  go_through_panels<Format>(
      p, packed_bytes,
      [&](const Source& source, Index begin, Index columns, const PanelScales& scales,
          Totals& totals) {
        unpack<Format>(source, columns, panel);
        const auto* x = reinterpret_cast<const char*>(p.x + begin / gemm_columns * p.x_stride);
        const bool fresh = begin == 0;
        Index tile = 0;
        for (; tile + 2 <= rows.count; tile += 2)
          for (int w = 0; w < panel_rows; w += 2 * side)
            block_of_tiles<2, 2>(tiles, rows, tile, x, panel.units + w * 4, columns, scales + w,
                                 fresh, totals + w);
        if (tile < rows.count)
          block_of_tiles<1, 4>(tiles, rows, tile, x, panel.units, columns, scales, fresh, totals);
      },
      [&](const Totals& totals, Index first, Index count) {
        store_totals(p, totals, first, count);
      });
}

constexpr GemmTable table = {
    .in_parts = true,
    .piece_work = gemm_table.piece_work,
    .pack = {pack, pack, pack_parts, pack_parts},
    .product = {gemm_product<F32>, gemm_product<F16>, product<Bf16>, product<F8>},
};

}  // namespace two_parts
}  // namespace
}  // namespace hearth::kernels::cpu
