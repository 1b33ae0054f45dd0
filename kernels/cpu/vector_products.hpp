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

// The same for F8: each block of 128 columns has its own sums, which its scale takes to the totals.
template <int R>
inline void scaled_dots(const void* weights, const float* scales, Index cols, const float* x,
                        Index x_stride, float* out, Index out_stride) {
  const char* const w = static_cast<const char*>(weights);
  Lanes totals[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) totals[r] = zero();
  for (Index begin = 0; begin < cols; begin += scale_block) {
    const Index end = begin + scale_block < cols ? begin + scale_block : cols;
    Lanes sums[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sums[r] = zero();
    Index c = begin;
    for (; c + lanes <= end; c += lanes) accumulate<F8, R>(sums, w + c, x + c, x_stride, lanes);
    if (c < end) accumulate<F8, R>(sums, w + c, x + c, x_stride, end - c);
    const Lanes scale = set(scales[begin / scale_block]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) totals[r] = fma(sums[r], scale, totals[r]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) out[r * out_stride] = fold_sum(totals[r]);
}

template <class Format, int R>
void product_rows(const Product& p, Index row) {
  const Weights& weights = p.weights;
  const float* const x = p.x + row * p.x_stride;
  float* const y = p.y + row * p.y_stride;
  for (Index w = p.first; w < p.last; ++w) {
    const char* const data =
        static_cast<const char*>(weights.data) + w * weights.stride * Format::size;
    if constexpr (Format::size == F8::size) {
      const float* const scales = weights.scales + w / scale_block * weights.scale_stride;
      scaled_dots<R>(data, scales, weights.cols, x, p.x_stride, y + w, p.y_stride);
    } else {
      dots<Format, R>(data, weights.cols, x, p.x_stride, y + w, p.y_stride);
    }
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

}  // namespace
}  // namespace hearth::kernels::cpu
