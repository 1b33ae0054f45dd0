// The F8 product in the terms of vector.hpp: codes become numbers through F16, whose subnormals, in
// which those of F8 are, need no help of the processor's. The product of AVX-512 without VBMI, and
// of AVX2 where F8's subnormals are dear (f8_choice.hpp). Part of avx512.cpp and avx2.cpp, which
// define
//
//   constexpr float f8_packed;  // what activations are multiplied by to make up for the codes'
//   void load_paired_f8(const void* p, Lanes (&w)[2]);  // 64 codes, paired in every 32
//   class NanCodes;  // whether one of the codes looked at was NaN

namespace hearth::kernels::cpu {
namespace {

// Columns that one load brings, paired in every 32 (vector_products.hpp).
constexpr Index run = 2 * lanes;

// Behind the last column follows -0, as in pack_activations.
void pack_f8(const float* x, float* to, Index cols) {
  pack_activations<ProductBf16>(x, to, cols);  // the same order
  for (Index c = 0; c < packed_size(cols); ++c) to[c] = f8_activation(to[c]) * f8_packed;
}

template <int R>
inline void multiply_run(Lanes (&sums)[R], const char* codes, const float* x, Index x_stride) {
  Lanes w[2];
  load_paired_f8(codes, w);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      sums[r] = fma(w[i], load_f32(x + r * x_stride + i * lanes), sums[r]);
}

// Adds the columns [begin, end) of one weight row times R activation rows to the sums. `seen` is
// called with every run of codes.
template <int R, class Seen>
inline void multiply_columns(Lanes (&sums)[R], const char* row, const float* x, Index x_stride,
                             Index begin, Index end, Seen seen) {
  Index c = begin;
  for (; c + run <= end; c += run) {
    const char* const codes = row + c;
    __builtin_prefetch(codes + prefetch_distance, 0, 2);
    seen(codes);
    multiply_run(sums, codes, x + c, x_stride);
  }
  if (c == end) return;
  char some[run] = {};
  __builtin_memcpy(some, row + c, static_cast<std::size_t>(end - c));
  seen(some);
  multiply_run(sums, some, x + c, x_stride);
}

// The sums of two blocks of codes times one activation row. One block's additions wait for each
// other, so two go side by side.
template <class Seen>
inline void multiply_blocks(Lanes (&one)[1], Lanes (&two)[1], const char* codes, const float* x,
                            Seen seen) {
#pragma GCC unroll 2
  for (Index c = 0; c < scale_block; c += run) {
    __builtin_prefetch(codes + prefetch_distance + 2 * c, 0, 2);
    __builtin_prefetch(codes + prefetch_distance + 2 * c + cache_line, 0, 2);
    seen(codes + c);
    multiply_run(one, codes + c, x + c, 0);
    seen(codes + c + scale_block);
    multiply_run(two, codes + c + scale_block, x + c + scale_block, 0);
  }
}

// Each block of 128 columns has its own sums, which its scale takes to the totals. A NaN code makes
// its row's sum NaN whatever is beside it, so it is looked for apart.
template <int R>
void scaled_product_rows(const Product& p, Index row) {
  const Weights& weights = p.weights;
  const float* const x = p.x + row * p.x_stride;
  for (Index w = p.first; w < p.last; ++w) {
    const char* const codes = static_cast<const char*>(weights.data) + w * weights.stride;
    const float* const scales = row_scales(weights, w);
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
        totals[0] = fma(one[0], set(scales[begin / scale_block * weights.scale_step]), totals[0]);
        totals[0] =
            fma(two[0], set(scales[(begin / scale_block + 1) * weights.scale_step]), totals[0]);
      }
    }
    for (; begin < weights.cols; begin += scale_block) {
      const Index end = begin + scale_block < weights.cols ? begin + scale_block : weights.cols;
      Lanes sums[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[r] = zero();
      multiply_columns(sums, codes, x, p.x_stride, begin, end, look);
      const Lanes scale = set(scales[begin / scale_block * weights.scale_step]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) totals[r] = fma(sums[r], scale, totals[r]);
    }
    const bool number = !nan.seen();
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      p.y[(row + r) * p.y_stride + w] = number ? fold_paired(totals[r]) : __builtin_nanf("");
  }
}

template <int R = rows_at_once>
void product_f8_from(const Product& p, Index row) {
  for (; row + R <= p.rows; row += R) scaled_product_rows<R>(p, row);
  if constexpr (R > 1) product_f8_from<R / 2>(p, row);
}

void product_f8(const Product& p) {
  product_f8_from(p, 0);
}

}  // namespace
}  // namespace hearth::kernels::cpu
