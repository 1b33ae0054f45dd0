// The products of the vector table, in the canonical order. Part of vector.hpp, which includes it
// behind its Lanes and their helpers; what is said there holds here.

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

// --- Products with arranged activations ----------------------------------------------------------

// How a product takes a format: `count` Lanes at once, their columns in natural order or `paired`,
// which is the order in which the widening of small codes leaves them: of every 32 columns the even
// ones, then the odd ones. Lane sums stay what they were; only fold_paired knows where each stands.
struct ProductF32 {
  static constexpr int size = 4;
  static constexpr int count = 1;
  static constexpr bool paired = false;
  static void load(const void* p, Lanes (&w)[1]) { w[0] = load_f32(p); }
};
struct ProductF16 {
  static constexpr int size = 2;
  static constexpr int count = 1;
  static constexpr bool paired = false;
  static void load(const void* p, Lanes (&w)[1]) { w[0] = load_f16(p); }
};
struct ProductBf16 {
  static constexpr int size = 2;
  static constexpr int count = 1;
  static constexpr bool paired = true;
  static void load(const void* p, Lanes (&w)[1]) { w[0] = load_paired_bf16(p); }
};
struct ProductF8 {
  static constexpr int size = 1;
  static constexpr int count = 2;
  static constexpr bool paired = true;
  // NaN codes come out as numbers: see NanCodes.
  static void load(const void* p, Lanes (&w)[2]) { load_paired_f8(p, w); }
};

// The row in the format's order. Behind the last column follows -0: with a zero for the weight its
// product is -0, which leaves every sum as it was.
template <class Format>
void arrange(const float* x, float* to, Index cols) {
  for (Index c = 0; c < arranged_size(cols); c += lanes) {
    float some[lanes];
    const float* from = x + c;
    if (c + lanes > cols) {
      for (Index i = 0; i < lanes; ++i) some[i] = c + i < cols ? x[c + i] : -0.0f;
      from = some;
    }
    if constexpr (Format::size == ProductF8::size) {
      for (Index i = 0; i < lanes; ++i) some[i] = from[i] * f8_up * (f8_down / paired_f8_unit);
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

template <class Format, int R>
inline void multiply(Lanes (&sums)[R], const char* codes, const float* x, Index x_stride) {
  Lanes w[Format::count];
  Format::load(codes, w);
#pragma GCC unroll 2
  for (int i = 0; i < Format::count; ++i)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      sums[r] = fma(w[i], load_f32(x + r * x_stride + i * lanes), sums[r]);
}

// Adds the columns [begin, end) of one weight row times R activation rows to the sums. `seen` is
// called with every run of codes.
template <class Format, int R, class Seen>
inline void multiply(Lanes (&sums)[R], const char* row, const float* x, Index x_stride, Index begin,
                     Index end, Seen seen) {
  constexpr Index step = Format::count * lanes;
  constexpr Index bytes = step * Format::size;
  Index c = begin;
  for (; c + step <= end; c += step) {
    const char* const codes = row + c * Format::size;
    for (Index line = 0; line < bytes; line += cache_line)
      __builtin_prefetch(codes + prefetch_distance + line, 0, 2);
    seen(codes);
    multiply<Format, R>(sums, codes, x + c, x_stride);
  }
  if (c == end) return;
  char some[bytes] = {};
  __builtin_memcpy(some, row + c * Format::size,
                   static_cast<std::size_t>((end - c) * Format::size));
  seen(some);
  multiply<Format, R>(sums, some, x + c, x_stride);
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
    multiply<Format, R>(sums, codes, x, p.x_stride, 0, weights.cols, [](const char*) {});
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      p.y[(row + r) * p.y_stride + w] = Format::paired ? fold_paired(sums[r]) : fold_sum(sums[r]);
  }
}

// The sums of two blocks of codes times one activation row. One block's additions wait for each
// other, so two go side by side.
template <class Seen>
inline void multiply_blocks(Lanes (&one)[1], Lanes (&two)[1], const char* codes, const float* x,
                            Seen seen) {
  constexpr Index step = ProductF8::count * lanes;
#pragma GCC unroll 2
  for (Index c = 0; c < scale_block; c += step) {
    __builtin_prefetch(codes + prefetch_distance + 2 * c, 0, 2);
    __builtin_prefetch(codes + prefetch_distance + 2 * c + cache_line, 0, 2);
    seen(codes + c);
    multiply<ProductF8, 1>(one, codes + c, x + c, 0);
    seen(codes + c + scale_block);
    multiply<ProductF8, 1>(two, codes + c + scale_block, x + c + scale_block, 0);
  }
}

// The same for F8: each block of 128 columns has its own sums, which its scale takes to the totals.
// A NaN code makes its row's sum NaN whatever stands beside it, so it is looked for apart.
template <int R>
void scaled_product_rows(const Product& p, Index row) {
  const Weights& weights = p.weights;
  const float* const x = p.x + row * p.x_stride;
  for (Index w = p.first; w < p.last; ++w) {
    const char* const codes = static_cast<const char*>(weights.data) + w * weights.stride;
    const float* const scales = weights.scales + w / scale_block * weights.scale_stride;
    NanCodes nan;
    Lanes totals[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) totals[r] = zero();
    const auto look = [&](const char* some) { nan.look(some); };
    Index begin = 0;
    if constexpr (R == 1) {
      for (; begin + 2 * scale_block <= weights.cols; begin += 2 * scale_block) {
        Lanes one[1] = {zero()}, two[1] = {zero()};
        multiply_blocks(one, two, codes + begin, x + begin, look);
        totals[0] = fma(one[0], set(scales[begin / scale_block]), totals[0]);
        totals[0] = fma(two[0], set(scales[begin / scale_block + 1]), totals[0]);
      }
    }
    for (; begin < weights.cols; begin += scale_block) {
      const Index end = begin + scale_block < weights.cols ? begin + scale_block : weights.cols;
      Lanes sums[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[r] = zero();
      multiply<ProductF8, R>(sums, codes, x, p.x_stride, begin, end, look);
      const Lanes scale = set(scales[begin / scale_block]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) totals[r] = fma(sums[r], scale, totals[r]);
    }
    const bool number = !nan.seen();
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      p.y[(row + r) * p.y_stride + w] = number ? fold_paired(totals[r]) : __builtin_nanf("");
  }
}

// As many activation rows at once as the registers hold sums for, so that they share the widening.
template <class Format, int R = rows_at_once>
void product_from(const Product& p, Index row) {
  for (; row + R <= p.rows; row += R)
    if constexpr (Format::size == ProductF8::size)
      scaled_product_rows<R>(p, row);
    else
      product_rows<Format, R>(p, row);
  if constexpr (R > 1) product_from<Format, R / 2>(p, row);
}

template <class Format>
void product(const Product& p) {
  product_from<Format>(p, 0);
}

// --- Screens -------------------------------------------------------------------------------------

void screen(const ScreenSums& s) {
  for (Index w = s.first; w < s.last; ++w) {
    const std::uint8_t* const codes = s.codes + w * s.cols;
    for (int v = 0; v < s.count; v += 2) {
      const std::int8_t* const x = s.x + v * s.cols;
      CodeSums one, two;
      for (Index c = 0; c < s.cols; c += screen_unit) {
        __builtin_prefetch(codes + c + prefetch_distance, 0, 2);
        one.add(codes + c, x + c);
        two.add(codes + c, x + s.cols + c);
      }
      std::int32_t* const sums = s.sums + (w - s.first) * s.count + v;
      sums[0] = one.sum();
      sums[1] = two.sum();
    }
  }
}

}  // namespace
}  // namespace hearth::kernels::cpu
