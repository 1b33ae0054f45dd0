// The one vector implementation of the GEMMs in F32; gemm.hpp has the definition.
// avx2.cpp and avx512.cpp define the registers and their operations, then include
// this file.
#include "kernels/cpu/gemm/panels.hpp"

namespace hearth::kernels::cpu {
namespace {

// The sums of R activation rows and V vectors of weight rows over one block of columns.
template <bool paired, int R, int V>
[[gnu::noinline]] void tile(const char* panel, const float* x, Index columns, const float* scales,
                            bool fresh, float* totals) {
  Floats sums[R][V];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sums[r][v] = zero();
  // A call would keep the sums in memory.
  const auto add = [&](const Floats(&w)[V], Index c) __attribute__((always_inline)) {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const Floats value = set(x[r * gemm_columns + c]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][v] = fma(w[v], value, sums[r][v]);
    }
  };
  constexpr int step = paired ? 2 : 1;
  Index c = 0;
  for (; c + step <= columns; c += step) {
    const char* unit = panel + c / step * unit_bytes;
    Floats w[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
      w[v] = paired ? lower_half(unit + v * width * 4) : load_floats(unit + v * width * 4);
    add(w, c);
    if constexpr (paired) {
      // The pairs are loaded again: kept, they would push sums out of the registers.
      asm("" : "+r"(unit));
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) w[v] = upper_half(unit + v * width * 4);
      add(w, c + 1);
    }
  }
  if (c < columns) {  // half of a pair
    const char* const unit = panel + c / step * unit_bytes;
    Floats w[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) w[v] = lower_half(unit + v * width * 4);
    add(w, c);
  }
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) {
    const Floats factors = load_floats(scales + v * width);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      float* const total = totals + r * panel_rows + v * width;
      store_floats(total, fma(sums[r][v], factors, fresh ? zero() : load_floats(total)));
    }
  }
}

// All of a panel for `rows` = R activation rows.
template <bool paired, int R>
inline void tiles_of(int rows, const char* panel, const float* x, Index columns,
                     const float* scales, bool fresh, float* totals) {
  if (rows < R) {
    if constexpr (R > 1) tiles_of<paired, R - 1>(rows, panel, x, columns, scales, fresh, totals);
    return;
  }
  constexpr int together = tile_vectors(R);
  for (int v = 0; v < vectors; v += together)
    tile<paired, R, together>(panel + v * width * 4, x, columns, scales + v * width, fresh,
                              totals + v * width);
}

// A panel for all rows, in tiles of almost equal height.
template <bool paired>
inline void multiply_panel(const GemmArguments& p, const Panel& panel, Index begin, Index columns,
                           const PanelScales& scales, Totals& totals) {
  const float* const x = reinterpret_cast<const float*>(p.x + begin / gemm_columns * p.x_stride);
  const Index tiles = (p.rows + tile_rows - 1) / tile_rows;
  for (Index t = 0; t < tiles; ++t) {
    const Index row = t * p.rows / tiles;
    const int height = static_cast<int>((t + 1) * p.rows / tiles - row);
    tiles_of<paired, tile_rows>(height, panel.units, x + row * gemm_columns, columns, scales,
                                begin == 0, totals + row * panel_rows);
  }
}

template <class Format>
void gemm_product(const GemmArguments& p) {
  Panel panel;
  go_through_panels<Format>(
      p, packed_bytes,
      [&](const Source& source, Index begin, Index columns, const PanelScales& scales,
          Totals& totals) {
        unpack<Format>(source, columns, panel);
        multiply_panel<Format::paired>(p, panel, begin, columns, scales, totals);
      },
      [&](const Totals& totals, Index first, Index count) {
        store_totals(p, totals, first, count);
      });
}

void pack(const Packing& p) {
  for (Index r = 0; r < p.rows; ++r)
    __builtin_memcpy(p.to + r * packed_bytes, p.x + r * p.x_stride,
                     static_cast<std::size_t>(p.columns) * sizeof(float));
}

constexpr GemmTable gemm_table = {
    .in_parts = false,
    .piece_work = 1 << 26,
    .pack = {pack, pack, pack, pack},
    .product = {gemm_product<F32>, gemm_product<F16>, gemm_product<Bf16>, gemm_product<F8>},
};

}  // namespace
}  // namespace hearth::kernels::cpu
