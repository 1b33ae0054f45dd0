// The products of the vector table, in the reference summation order. Part of vector.hpp, which
// includes it behind its Lanes and their helpers; what is said there holds here.

namespace hearth::kernels::cpu {
namespace {

template <class Format>
void widen(const void* from, float* to, Index count) {
  each(count, [&](Index i, Index n) {
    store(to + i, n, load<Format>(static_cast<const char*>(from) + i * Format::size, n));
  });
}

// --- Dot products of few values, as attention and the delta rule take them
// ------------------------

// Adds a run of n columns of one weight row times R activation rows to the sums.
template <class Format, int R>
inline void accumulate(Lanes (&sums)[R], const char* weights, const float* x, Index x_stride,
                       Index n) {
  const Lanes w = load<Format>(weights, n);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
    sums[r] = first(n, fma(w, load(x + r * x_stride, n), sums[r]), sums[r]);
}

// out[r] = weights · x[r], in one format without scales.
template <class Format, int R>
inline void dots(const void* weights, Index cols, const float* x, Index x_stride, float* out,
                 Index out_stride) {
  const char* const w = static_cast<const char*>(weights);
  Lanes sums[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sums[r] = zero();
  Index c = 0;
  for (; c + lanes <= cols; c += lanes)
    accumulate<Format, R>(sums, w + c * Format::size, x + c, x_stride, lanes);
  if (c < cols) accumulate<Format, R>(sums, w + c * Format::size, x + c, x_stride, cols - c);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) out[r * out_stride] = fold_sum(sums[r]);
}

// --- Products with packed activations ----------------------------------------------------------

// How a product takes a format: its columns in natural order or `paired`, which is the order in
// which the widening of small codes leaves them: of every 32 columns the even ones, then the odd
// ones. Lane sums stay what they were; only fold_paired knows the index of each.
struct ProductF32 {
  static constexpr int size = 4;
  static constexpr bool paired = false;
  static Lanes load(const void* p) { return load_f32(p); }
};
struct ProductF16 {
  static constexpr int size = 2;
  static constexpr bool paired = false;
  static Lanes load(const void* p) { return load_f16(p); }
};
struct ProductBf16 {
  static constexpr int size = 2;
  static constexpr bool paired = true;
  static Lanes load(const void* p) { return load_paired_bf16(p); }
};

// The row in the format's order. Behind the last column follows -0: with a zero for the weight its
// product is -0, which leaves every sum as it was.
template <class Format>
void pack_activations(const float* x, float* to, Index cols) {
  for (Index c = 0; c < packed_size(cols); c += lanes) {
    float some[lanes];
    const float* from = x + c;
    if (c + lanes > cols) {
      for (Index i = 0; i < lanes; ++i) some[i] = c + i < cols ? x[c + i] : -0.0f;
      from = some;
    }
    if constexpr (Format::paired) {
      for (Index i = 0; i < lanes / 2; ++i) to[c + i] = from[2 * i];
      for (Index i = 0; i < lanes / 2; ++i) to[c + lanes / 2 + i] = from[2 * i + 1];
    } else {
      store_f32(to + c, load_f32(from));
    }
  }
}

// Adds a run of columns of one weight row times R activation rows to the sums.
template <class Format, int R>
inline void multiply(Lanes (&sums)[R], const char* codes, const float* x, Index x_stride) {
  const Lanes w = Format::load(codes);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sums[r] = fma(w, load_f32(x + r * x_stride), sums[r]);
}

// y[r][w] = weights[w] · x[r] for R rows of x from `row` on.
template <class Format, int R>
void product_rows(const Product& p, Index row) {
  const Weights& weights = p.weights;
  const float* const x = p.x + row * p.x_stride;
  for (Index w = p.first; w < p.last; ++w) {
    const char* const codes =
        static_cast<const char*>(weights.data) + w * weights.stride * Format::size;
    Lanes sums[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sums[r] = zero();
    constexpr Index bytes = lanes * Format::size;
    Index c = 0;
    for (; c + lanes <= weights.cols; c += lanes) {
      const char* const some = codes + c * Format::size;
      for (Index line = 0; line < bytes; line += cache_line)
        __builtin_prefetch(some + prefetch_distance + line, 0, 2);
      multiply<Format, R>(sums, some, x + c, p.x_stride);
    }
    if (c < weights.cols) {
      char some[bytes] = {};
      __builtin_memcpy(some, codes + c * Format::size,
                       static_cast<std::size_t>((weights.cols - c) * Format::size));
      multiply<Format, R>(sums, some, x + c, p.x_stride);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      p.y[(row + r) * p.y_stride + w] = Format::paired ? fold_paired(sums[r]) : fold_sum(sums[r]);
  }
}

// As many activation rows at once as the registers hold sums for, so that they share the widening.
template <class Format, int R = rows_at_once>
void product_from(const Product& p, Index row) {
  for (; row + R <= p.rows; row += R) product_rows<Format, R>(p, row);
  if constexpr (R > 1) product_from<Format, R / 2>(p, row);
}

template <class Format>
void product(const Product& p) {
  product_from<Format>(p, 0);
}

// --- Shortlists ----------------------------------------------------------------------------------

// Columns whose products a 32-bit lane of CodeSums can hold: of every shortlist_unit it takes eight
// at most, each below 2^22, and it must stay below 2^31.
constexpr Index shortlist_run = 64 * shortlist_unit;

// Sums for R rows of activations from `row` on. They share the widening of the codes.
template <int R>
void shortlist_rows(const ShortlistSums& s, int row) {
  const std::int16_t* const x = s.x + row * s.cols;
  for (Index w = s.first; w < s.last; ++w) {
    const std::int8_t* const codes = s.codes + w * s.cols;
    std::int64_t* const sums = s.sums + (w - s.first) * s.count + row;
    for (int r = 0; r < R; ++r) sums[r] = 0;
    for (Index begin = 0; begin < s.cols; begin += shortlist_run) {
      const Index end = begin + shortlist_run < s.cols ? begin + shortlist_run : s.cols;
      CodeSums some[R];
      for (Index c = begin; c < end; c += shortlist_unit) {
        __builtin_prefetch(codes + c + prefetch_distance, 0, 2);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          const Index at = c + half * (shortlist_unit / 2);
          const auto widened = widen_codes(codes + at);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) some[r].add(widened, x + r * s.cols + at);
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[r] += some[r].sum();
    }
  }
}

// Up to R rows at once: more of them cost more than two calls.
template <int R = 5>
void shortlist_from(const ShortlistSums& s, int row) {
  for (; row + R <= s.count; row += R) shortlist_rows<R>(s, row);
  if constexpr (R > 1) shortlist_from<R - 1>(s, row);
}

void shortlist(const ShortlistSums& s) {
  shortlist_from(s, 0);
}

}  // namespace
}  // namespace hearth::kernels::cpu
