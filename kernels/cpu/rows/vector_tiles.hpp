// Small matrix products in registers, for attention and the delta rule. Part of vector.hpp, which
// includes it behind its Lanes; what is said there holds here. Every sum is one chain of
// multiply-adds in the order of the definition, whatever else the registers hold.

namespace hearth::kernels::cpu {
namespace {

inline Register load_register(F32, const void* p) {
  return load_register(p);
}
inline Register load_register(F16, const void* p) {
  return load_register_f16(p);
}

// The first n elements; `rest` in the other lanes.
template <class Format>
inline Register load_some(const void* p, Index n, float rest = 0) {
  if (n >= register_floats) return load_register(Format{}, p);
  char codes[register_floats * Format::size] = {};
  __builtin_memcpy(codes, p, static_cast<std::size_t>(n * Format::size));
  float all[register_floats];
  store_register(all, load_register(Format{}, codes));
  for (Index i = n; i < register_floats; ++i) all[i] = rest;
  return load_register(all);
}

inline void store_some(float* p, Index n, Register x) {
  if (n >= register_floats) return store_register(p, x);
  float all[register_floats];
  store_register(all, x);
  __builtin_memcpy(p, all, static_cast<std::size_t>(n) * sizeof(float));
}

// --- Dots ----------------------------------------------------------------------------------------

// As many dots at once as fold_registers folds: of dot_rows rows with four others.
constexpr int dot_rows = folds / 4;
using DotSums = Register[4][dot_rows];

template <class Body>
inline void each_dot(Body body) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
#pragma GCC unroll 4
    for (int r = 0; r < dot_rows; ++r) body(j, r);
}

// The sums of the lanes from `part` on that fit a register.
template <class Format>
inline void sum_part(const float* const (&rows)[dot_rows], const char* const (&others)[4],
                     Index dim, Index part, DotSums& sums) {
  each_dot([&](int j, int r) { sums[j][r] = broadcast(0); });
  Index c = part;
  for (; c + register_floats <= dim; c += lanes) {
    Register other[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) other[j] = load_register(Format{}, others[j] + c * Format::size);
#pragma GCC unroll 4
    for (int r = 0; r < dot_rows; ++r) {
      const Register row = load_register(rows[r] + c);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) sums[j][r] = fma(other[j], row, sums[j][r]);
    }
  }
  // Lanes without an element get 0 · -0 = -0, which changes no sum.
  if (c < dim)
    each_dot([&](int j, int r) {
      const Register row = load_some<F32>(rows[r] + c, dim - c, -0.0f);
      sums[j][r] = fma(load_some<Format>(others[j] + c * Format::size, dim - c), row, sums[j][r]);
    });
}

// out[r][j] = rows[r] · others[j], by lanes as every dot.
template <class Format>
inline void dots(const float* const (&rows)[dot_rows], const char* const (&others)[4], Index dim,
                 float (&out)[dot_rows][4]) {
  alignas(64) float held[2][folds][register_floats];
  DotSums sums;
  const auto part = [&](Index first) { sum_part<Format>(rows, others, dim, first, sums); };
  const auto hold = [&](int place) {
    each_dot([&](int j, int r) { store_register(held[place][j * dot_rows + r], sums[j][r]); });
  };
  const auto add_held = [&](int place) {
    each_dot([&](int j, int r) {
      sums[j][r] = add(load_register(held[place][j * dot_rows + r]), sums[j][r]);
    });
  };
  // The first folds: lane c + lane c + 16, and + 8 where a register has no more.
  part(0);
  hold(0);
  part(lanes / 2);
  add_held(0);
  if constexpr (register_floats == lanes / 4) {
    hold(0);
    part(lanes / 4);
    hold(1);
    part(3 * lanes / 4);
    add_held(1);
    add_held(0);
  }
  fold_registers(sums, out);
}

// --- Products ------------------------------------------------------------------------------------

constexpr int tile_columns = 2 * register_floats;

// Sums of R rows and tile_columns columns.
template <int R>
struct Tile {
  Register sums[R][2];
};

// Adds the products of steps [begin, end): sum[r][c] += a(r, step) · b[step][c]. `columns` of the
// tile's are in b.
template <bool whole, class Format, int R, class Factor>
inline void add_products(Tile<R>& tile, Factor a, const void* b, Index b_stride, Index columns,
                         Index begin, Index end) {
  for (Index step = begin; step < end; ++step) {
    const char* const row = static_cast<const char*>(b) + step * b_stride * Format::size;
    Register values[2];
#pragma GCC unroll 2
    for (int s = 0; s < 2; ++s) {
      const Index c = s * register_floats;
      if constexpr (whole)
        values[s] = load_register(Format{}, row + c * Format::size);
      else
        values[s] =
            c < columns ? load_some<Format>(row + c * Format::size, columns - c) : broadcast(0);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Register factor = broadcast(a(r, step));
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) tile.sums[r][s] = fma(factor, values[s], tile.sums[r][s]);
    }
  }
}

// Two registers of a row from p on, of which `columns` values are there.
inline void load_row(const float* p, Index columns, Register (&row)[2]) {
#pragma GCC unroll 2
  for (int s = 0; s < 2; ++s) {
    const Index c = s * register_floats;
    row[s] = c < columns ? load_some<F32>(p + c, columns - c) : broadcast(0);
  }
}
inline void store_row(float* p, Index columns, const Register (&row)[2]) {
#pragma GCC unroll 2
  for (int s = 0; s < 2; ++s) {
    const Index c = s * register_floats;
    if (c < columns) store_some(p + c, columns - c, row[s]);
  }
}

}  // namespace
}  // namespace hearth::kernels::cpu
