// The one vector implementation of the table. avx2.cpp and avx512.cpp define the type Lanes (32
// floats) and its operations, then include this file; see scalar.cpp for what everything means.
//
// Bits equal the scalar definition's because the definition speaks of 32 lanes: each line here does
// for 32 elements what a line there does for one. Lanes without an element are left as they were.
// (Which NaN comes out of several is left open.)
//
// These files are compiled for an instruction set that the host may lack. So that no function of
// theirs can stand in for another file's, everything has internal linkage and nothing of the
// standard library is used; a test looks at the object files' symbols.

namespace hearth::kernels::cpu {
namespace {

using Index = std::int64_t;

// --- Lanes ---------------------------------------------------------------------------------------

// Formats of weights, keys and values: bytes of a code, and 32 of them widened.
struct F32 {
  static constexpr int size = 4;
  static Lanes load(const void* p) { return load_f32(p); }
};
struct F16 {
  static constexpr int size = 2;
  static Lanes load(const void* p) { return load_f16(p); }
};
struct Bf16 {
  static constexpr int size = 2;
  static Lanes load(const void* p) { return load_bf16(p); }
};
struct F8 {
  static constexpr int size = 1;
  static Lanes load(const void* p) { return load_f8(p); }
};

// The first n ≤ 32 elements; zero in the other lanes.
template <class Format>
inline Lanes load(const void* p, Index n) {
  if (n >= lanes) return Format::load(p);
  char some[lanes * Format::size] = {};
  __builtin_memcpy(some, p, static_cast<std::size_t>(n * Format::size));
  return Format::load(some);
}

inline Lanes load(const float* p, Index n) {
  return load<F32>(p, n);
}

inline void store(float* p, Index n, Lanes x) {
  if (n >= lanes) return store_f32(p, x);
  float all[lanes];
  store_f32(all, x);
  __builtin_memcpy(p, all, static_cast<std::size_t>(n) * sizeof(float));
}

// The first n lanes of x, the others of rest.
inline Lanes first(Index n, Lanes x, Lanes rest) {
  if (n >= lanes) return x;
  float all[lanes];
  store_f32(all, rest);
  store(all, n, x);
  return load_f32(all);
}

// Calls body(i, n) for every run of n ≤ 32 elements from i on.
template <class Body>
inline void each(Index count, Body body) {
  Index i = 0;
  for (; i + lanes <= count; i += lanes) body(i, Index{lanes});
  if (i < count) body(i, count - i);
}

inline float larger(float a, float b) {
  return a > b ? a : b;
}

inline float sum(const float* x, Index count) {
  Lanes sums = zero();
  each(count, [&](Index i, Index n) { sums = first(n, add(sums, load(x + i, n)), sums); });
  return fold_sum(sums);
}

inline float sum_of_squares(const float* x, Index count) {
  Lanes sums = zero();
  each(count, [&](Index i, Index n) {
    const Lanes some = load(x + i, n);
    sums = first(n, fma(some, some, sums), sums);
  });
  return fold_sum(sums);
}

inline float largest(const float* x, Index count) {
  Lanes top = set(-__builtin_inff());
  each(count, [&](Index i, Index n) { top = first(n, larger(top, load(x + i, n)), top); });
  return fold_larger(top);
}

inline Lanes exp(Lanes x) {
  namespace c = exp_constants;
  x = larger(set(c::lowest), x);
  x = smaller(set(c::highest), x);
  const Lanes shifted = fma(x, set(c::log2_e), set(c::magic));
  const Lanes n = sub(shifted, set(c::magic));
  Lanes r = fma(n, set(-c::ln2_high), x);
  r = fma(n, set(-c::ln2_low), r);
  Lanes p = fma(set(c::c7), r, set(c::c6));
  p = fma(p, r, set(c::c5));
  p = fma(p, r, set(c::c4));
  p = fma(p, r, set(c::c3));
  p = fma(p, r, set(c::c2));
  p = fma(p, r, set(1));
  p = fma(p, r, set(1));
  return times_power_of_two(p, shifted);
}

inline float exp(float x) {
  return first_lane(exp(set(x)));
}

inline Lanes one_plus_exp_minus(Lanes x) {
  return add(set(1), exp(sub(zero(), x)));
}
inline Lanes sigmoid(Lanes x) {
  return div(set(1), one_plus_exp_minus(x));
}
inline Lanes silu(Lanes x) {
  return div(x, one_plus_exp_minus(x));
}

}  // namespace
}  // namespace hearth::kernels::cpu

#include "kernels/cpu/rows/vector_products.hpp"
#include "kernels/cpu/rows/vector_tiles.hpp"
// These two use the former.
#include "kernels/cpu/rows/vector_attention.hpp"
#include "kernels/cpu/rows/vector_delta.hpp"

namespace hearth::kernels::cpu {
namespace {

// --- Norms, RoPE, convolution --------------------------------------------------------------------

inline float inverse_rms(const float* x, Index dim, float eps) {
  return 1.0f / square_root(sum_of_squares(x, dim) / static_cast<float>(dim) + eps);
}

void rms_norm(const float* x, const float* weight, float* out, Index dim, float eps) {
  const Lanes inverse = set(inverse_rms(x, dim, eps));
  each(dim, [&](Index i, Index n) {
    const Lanes factor = add(set(1), load(weight + i, n));
    store(out + i, n, mul(mul(load(x + i, n), inverse), factor));
  });
}

void gated_rms_norm(const float* x, const float* z, const float* weight, float* out, Index dim,
                    float eps) {
  const Lanes inverse = set(inverse_rms(x, dim, eps));
  each(dim, [&](Index i, Index n) {
    const Lanes normed = mul(mul(load(x + i, n), inverse), load(weight + i, n));
    store(out + i, n, mul(normed, silu(load(z + i, n))));
  });
}

void l2_norm(float* x, Index dim, float scale) {
  const Lanes inverse = set(1.0f / square_root(sum_of_squares(x, dim) + 1e-6f));
  each(dim,
       [&](Index i, Index n) { store(x + i, n, mul(mul(load(x + i, n), inverse), set(scale))); });
}

void rope(float* x, const float* cos, const float* sin, Index half) {
  each(half, [&](Index i, Index n) {
    const Lanes one = load(x + i, n);
    const Lanes two = load(x + half + i, n);
    const Lanes c = load(cos + i, n);
    const Lanes s = load(sin + i, n);
    store(x + i, n, sub(mul(one, c), mul(two, s)));
    store(x + half + i, n, add(mul(two, c), mul(one, s)));
  });
}

void conv_silu(const Convolution& a) {
  const Index past = a.kernel - 1;
  const auto input = [&](Index t) {
    return t < 0 ? a.history_in + (past + t) * a.channels : a.x + t * a.channels;
  };
  each(a.last - a.first, [&](Index i, Index n) {
    const Index c = a.first + i;
    float taps[conv_taps][lanes] = {};
    for (Index j = 0; j < a.kernel; ++j)
      for (Index lane = 0; lane < n; ++lane) taps[j][lane] = a.weight[(c + lane) * a.kernel + j];
    for (Index t = 0; t < a.rows; ++t) {
      Lanes total = zero();
      for (Index j = 0; j < a.kernel; ++j)
        total = fma(load_f32(taps[j]), load(input(t - past + j) + c, n), total);
      store(a.out + t * a.channels + c, n, silu(total));
    }
    for (Index j = 0; j < past; ++j)
      store(a.history_out + j * a.channels + c, n, load(input(a.rows - past + j) + c, n));
  });
}

// --- Elementwise and rows ------------------------------------------------------------------------

void silu_mul(const float* gate, const float* up, float* out, Index count) {
  each(count,
       [&](Index i, Index n) { store(out + i, n, mul(silu(load(gate + i, n)), load(up + i, n))); });
}

void sigmoid_mul(const float* gate, const float* x, float* out, Index count) {
  each(count, [&](Index i, Index n) {
    store(out + i, n, mul(sigmoid(load(gate + i, n)), load(x + i, n)));
  });
}

void add(const float* x, const float* y, float* out, Index count) {
  each(count, [&](Index i, Index n) { store(out + i, n, add(load(x + i, n), load(y + i, n))); });
}

void combine(const CombineRow& a) {
  const Lanes gate = sigmoid(set(a.shared_gate));
  each(a.dim, [&](Index i, Index n) {
    Lanes total = zero();
    for (int s = 0; s < a.slots; ++s)
      total = fma(set(a.weights[s]), load(a.y + s * a.dim + i, n), total);
    total = fma(gate, load(a.shared + i, n), total);
    store(a.out + i, n, add(total, load(a.residual + i, n)));
  });
}

void softmax(float* x, Index dim) {
  const Lanes top = set(largest(x, dim));
  each(dim, [&](Index i, Index n) { store(x + i, n, exp(sub(load(x + i, n), top))); });
  const Lanes total = set(sum(x, dim));
  each(dim, [&](Index i, Index n) { store(x + i, n, div(load(x + i, n), total)); });
}

// The F8 product is each instruction set's own.
constexpr Table vector_table(void (*pack_f8)(const float*, float*, Index),
                             void (*product_f8)(const Product&)) {
  return {
      .pack_activations = {pack_activations<ProductF32>, pack_activations<ProductF16>,
                           pack_activations<ProductBf16>, pack_f8},
      .product = {product<ProductF32>, product<ProductF16>, product<ProductBf16>, product_f8},
      .widen = {widen<F32>, widen<F16>, widen<Bf16>, widen<F8>},
      .shortlist = shortlist,
      .rms_norm = rms_norm,
      .gated_rms_norm = gated_rms_norm,
      .l2_norm = l2_norm,
      .rope = rope,
      .conv_silu = conv_silu,
      .delta_step = delta_step,
      .delta_chunk = delta_chunk,
      .attention_span = {attention_span<F32>, attention_span<F16>},
      .attention_merge = attention_merge,
      .silu_mul = silu_mul,
      .sigmoid_mul = sigmoid_mul,
      .add = add,
      .combine = combine,
      .softmax = softmax,
  };
}

}  // namespace
}  // namespace hearth::kernels::cpu
