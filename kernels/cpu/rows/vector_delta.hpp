// The gated delta rule of the vector table. Part of vector.hpp, which includes it behind
// vector_tiles.hpp; what is said there holds here.

namespace hearth::kernels::cpu {
namespace {

void delta_step(const DeltaHead& a) {
  each(a.columns, [&](Index c, Index n) {
    const float* before = a.state_in + c;
    float* const s = a.state_out + c;
    for (int t = 0; t < a.rows; ++t) {
      const float* const q = a.q + t * a.q_stride;
      const float* const k = a.k + t * a.k_stride;
      const Lanes decay = set(exp(a.g[t * a.gate_stride]));
      Lanes recalled = zero();
      for (Index i = 0; i < a.key_dim; ++i) {
        const Lanes faded = mul(load(before + i * a.state_stride, n), decay);
        store(s + i * a.state_stride, n, faded);
        recalled = fma(faded, set(k[i]), recalled);
      }
      const Lanes v = load(a.v + t * a.v_stride + c, n);
      const Lanes d = mul(sub(v, recalled), set(a.beta[t * a.gate_stride]));
      Lanes out = zero();
      for (Index i = 0; i < a.key_dim; ++i) {
        const Lanes value = fma(set(k[i]), d, load(s + i * a.state_stride, n));
        store(s + i * a.state_stride, n, value);
        out = fma(value, set(q[i]), out);
      }
      store(a.out + t * a.out_stride + c, n, out);
      before = s;
    }
  });
}

// --- Segments ------------------------------------------------------------------------------------

// What a segment is computed from; see scalar.cpp for the formulas.
struct Segment {
  float of_k[delta_segment][delta_columns];    // Sᵀk, then u
  float of_q[delta_segment][delta_columns];    // Sᵀq
  float k_dots[delta_segment][delta_segment];  // -e^(G_t-G_s) (k_t·k_s)
  float q_dots[delta_segment][delta_segment];  // e^(G_t-G_s) (q_t·k_s)
  float sums[delta_segment];                   // G
  float decay[delta_segment];                  // e^G
};

// Calls body(columns, whole) for tiles of columns: the first column, how many are there, and
// whether as many as a tile has.
template <class Body>
inline void each_tile(Index columns, Body body) {
  Index c = 0;
  for (; c + tile_columns <= columns; c += tile_columns) body.template run<true>(c, tile_columns);
  if (c < columns) body.template run<false>(c, columns - c);
}

// recalled[t] = Sᵀx[t].
struct Recall {
  const DeltaHead& a;
  const float* x;
  Index x_stride;
  float (&recalled)[delta_segment][delta_columns];

  template <bool whole>
  void run(Index c, Index columns) const {
    for (int t = 0; t < a.rows; t += tile_rows) {
      const float* rows[tile_rows];
      for (int r = 0; r < tile_rows; ++r)
        rows[r] = x + (t + r < a.rows ? t + r : a.rows - 1) * x_stride;
      Tile<tile_rows> tile;
#pragma GCC unroll 12
      for (int r = 0; r < tile_rows; ++r) tile.sums[r][0] = tile.sums[r][1] = broadcast(0);
      add_products<whole, F32>(
          tile, [&](int r, Index i) { return rows[r][i]; }, a.state_in + c, a.state_stride, columns,
          0, a.key_dim);
      for (int r = 0; r < tile_rows && t + r < a.rows; ++r)
        store_row(recalled[t + r] + c, tile_columns, tile.sums[r]);
    }
  }
};

// to[t][s] = sign · e^(G_t-G_s) (x_t·k_s) for s ≤ t.
inline void decayed_dots(const DeltaHead& a, const float* x, Index x_stride, const float* sums,
                         float sign, float (&to)[delta_segment][delta_segment]) {
  const int last = a.rows - 1;
  for (int t = 0; t < a.rows; t += dot_rows) {
    const float* rows[dot_rows];
    for (int r = 0; r < dot_rows; ++r) rows[r] = x + (t + r < a.rows ? t + r : last) * x_stride;
    for (int s = 0; s < t + dot_rows && s < a.rows; s += 4) {
      const char* keys[4];
      for (int j = 0; j < 4; ++j)
        keys[j] = reinterpret_cast<const char*>(a.k + (s + j < a.rows ? s + j : last) * a.k_stride);
      float results[dot_rows][4];
      dots<F32>(rows, keys, a.key_dim, results);
      for (int r = 0; r < dot_rows && t + r < a.rows; ++r)
        __builtin_memcpy(to[t + r] + s, results[r], sizeof results[r]);
    }
  }
  for (int t = 0; t < a.rows; ++t)
    each(t + 1, [&](Index s, Index n) {
      const Lanes since = exp(sub(set(sums[t]), load(sums + s, n)));
      store(to[t] + s, n, mul(set(sign), mul(since, load(to[t] + s, n))));
    });
}

// u_t = beta_t (v_t - e^G_t Sᵀk_t - Σ_{s<t} …u_s), in place of Sᵀk. Rows of a tile first get what
// is before the tile, then each other's.
struct SolveU {
  const DeltaHead& a;
  Segment& g;

  template <bool whole>
  void run(Index c, Index columns) const {
    for (int t = 0; t < a.rows; t += tile_rows) {
      const auto row = [&](int r) { return t + r < a.rows ? t + r : a.rows - 1; };
      Tile<tile_rows> tile;
#pragma GCC unroll 12
      for (int r = 0; r < tile_rows; ++r) {
        Register v[2], recalled[2];
        load_row(a.v + row(r) * a.v_stride + c, columns, v);
        load_row(g.of_k[row(r)] + c, tile_columns, recalled);
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s)
          tile.sums[r][s] = fma(broadcast(-g.decay[row(r)]), recalled[s], v[s]);
      }
      add_products<true, F32>(
          tile, [&](int r, Index s) { return g.k_dots[row(r)][s]; }, g.of_k[0] + c, delta_columns,
          tile_columns, 0, t);
#pragma GCC unroll 12
      for (int r = 0; r < tile_rows; ++r) {
        if (t + r >= a.rows) break;
        const Register beta = broadcast(a.beta[(t + r) * a.gate_stride]);
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s) tile.sums[r][s] = mul(beta, tile.sums[r][s]);
        store_row(g.of_k[t + r] + c, tile_columns, tile.sums[r]);
#pragma GCC unroll 12
        for (int later = r + 1; later < tile_rows; ++later) {
          const Register factor = broadcast(g.k_dots[row(later)][t + r]);
#pragma GCC unroll 2
          for (int s = 0; s < 2; ++s)
            tile.sums[later][s] = fma(factor, tile.sums[r][s], tile.sums[later][s]);
        }
      }
    }
  }
};

// o_t = e^G_t Sᵀq_t + Σ_{s≤t} …u_s.
struct Output {
  const DeltaHead& a;
  const Segment& g;

  template <bool whole>
  void run(Index c, Index columns) const {
    for (int t = 0; t < a.rows; t += tile_rows) {
      const auto row = [&](int r) { return t + r < a.rows ? t + r : a.rows - 1; };
      Tile<tile_rows> tile;
#pragma GCC unroll 12
      for (int r = 0; r < tile_rows; ++r) {
        Register recalled[2];
        load_row(g.of_q[row(r)] + c, tile_columns, recalled);
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s) tile.sums[r][s] = mul(broadcast(g.decay[row(r)]), recalled[s]);
      }
      add_products<true, F32>(
          tile, [&](int r, Index s) { return g.q_dots[row(r)][s]; }, g.of_k[0] + c, delta_columns,
          tile_columns, 0, t);
#pragma GCC unroll 12
      for (int r = 0; r < tile_rows; ++r) {
        if (t + r >= a.rows) break;
#pragma GCC unroll 12
        for (int earlier = 0; earlier <= r; ++earlier) {
          const Register factor = broadcast(g.q_dots[t + r][t + earlier]);
#pragma GCC unroll 2
          for (int s = 0; s < 2; ++s)
            tile.sums[r][s] =
                fma(factor, load_register(g.of_k[t + earlier] + c + s * register_floats),
                    tile.sums[r][s]);
        }
        store_row(a.out + (t + r) * a.out_stride + c, columns, tile.sums[r]);
      }
    }
  }
};

// S' = e^G_L S + Σ_s e^(G_L-G_s) k_s⊗u_s for tile_rows rows of the state from `first` on; `keys`
// are theirs, decayed.
struct Update {
  const DeltaHead& a;
  const Segment& g;
  Index first;
  const float (&keys)[delta_segment][tile_rows];

  template <bool whole>
  void run(Index c, Index columns) const {
    Tile<tile_rows> tile;
#pragma GCC unroll 12
    for (int r = 0; r < tile_rows; ++r) {
      const Index i = first + r < a.key_dim ? first + r : a.key_dim - 1;
      load_row(a.state_in + i * a.state_stride + c, columns, tile.sums[r]);
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s)
        tile.sums[r][s] = mul(broadcast(g.decay[a.rows - 1]), tile.sums[r][s]);
    }
    add_products<true, F32>(
        tile, [&](int r, Index s) { return keys[s][r]; }, g.of_k[0] + c, delta_columns,
        tile_columns, 0, a.rows);
    for (int r = 0; r < tile_rows && first + r < a.key_dim; ++r)
      store_row(a.state_out + (first + r) * a.state_stride + c, columns, tile.sums[r]);
  }
};

void delta_chunk(const DeltaHead& a) {
  Segment g;
  float total = 0;
  for (int t = 0; t < a.rows; ++t) g.sums[t] = total = total + a.g[t * a.gate_stride];
  each(a.rows, [&](Index t, Index n) { store(g.decay + t, n, exp(load(g.sums + t, n))); });

  each_tile(a.columns, Recall{a, a.k, a.k_stride, g.of_k});
  each_tile(a.columns, Recall{a, a.q, a.q_stride, g.of_q});
  decayed_dots(a, a.k, a.k_stride, g.sums, -1, g.k_dots);
  decayed_dots(a, a.q, a.q_stride, g.sums, 1, g.q_dots);
  each_tile(a.columns, SolveU{a, g});
  each_tile(a.columns, Output{a, g});

  float since[delta_segment];
  each(a.rows,
       [&](Index s, Index n) { store(since + s, n, exp(sub(set(total), load(g.sums + s, n)))); });
  for (Index first = 0; first < a.key_dim; first += tile_rows) {
    const Index count = a.key_dim - first < tile_rows ? a.key_dim - first : tile_rows;
    float keys[delta_segment][tile_rows] = {};
    for (int s = 0; s < a.rows; ++s)
      for (Index r = 0; r < count; ++r) keys[s][r] = since[s] * a.k[s * a.k_stride + first + r];
    each_tile(a.columns, Update{a, g, first, keys});
  }
}

}  // namespace
}  // namespace hearth::kernels::cpu
