// The F8 product on AVX2. Without a look-up or a conversion: shifted and masked, a code s eeee mmm
// in any byte of a 32-bit word becomes the F32 s 0000eeee mmm0…0, which is its value · 2^-120,
// subnormals too. So of every 32 columns one register takes each fourth, and the activations are
// arranged likewise. Activations go in times f8_up, and the scale times f8_sum_up makes up for what
// the sums lack (table.hpp). What vector.hpp says of linkage holds here.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/table.hpp"

namespace hearth::kernels::cpu {
namespace {

using Index = std::int64_t;

// Lanes of a register; registers that the 32 lanes take: column c is in lane c / 4 of number c % 4.
constexpr int width = 8;
constexpr int quarters = 4;
// Runs of 32 codes in a block.
constexpr int runs = scale_block / lanes;

inline __m256i load_run(const char* codes, int run) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes) + run);
}

// The codes in byte `quarter` of every word.
template <int quarter>
inline __m256 widen(__m256i codes) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0x87f00000u));
  const __m256i at_top = _mm256_slli_epi32(codes, 24 - 8 * quarter);
  return _mm256_castsi256_ps(_mm256_and_si256(_mm256_srai_epi32(at_top, 4), mask));
}

// Remembers whether a code was NaN, 0x7f or 0xff, which are widened like numbers.
class NanCodes {
 public:
  void look(__m256i codes) {
    const __m256i sign = _mm256_set1_epi8(static_cast<char>(0x80));
    most_ = _mm256_max_epu8(most_, _mm256_or_si256(codes, sign));
  }
  bool seen() const {
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(most_, _mm256_set1_epi8(-1))) != 0;
  }

 private:
  __m256i most_ = _mm256_setzero_si256();
};

// W weight rows' block of codes and their scales.
template <int W>
struct Block {
  const char* codes[W];
  __m256 scales[W];
};

// Adds one quarter of a block's columns to the totals of W weight rows and R activation rows. Every
// activation is loaded once for all weight rows: loads, not additions, are what several rows of
// activations wait for.
template <int quarter, int W, int R>
inline void add_quarter(const Block<W>& block, const float* x, Index x_stride,
                        __m256 (&totals)[W][quarters][R]) {
  __m256 weights[W][runs];
#pragma GCC unroll 2
  for (int w = 0; w < W; ++w)
#pragma GCC unroll 4
    for (int run = 0; run < runs; ++run)
      weights[w][run] = widen<quarter>(load_run(block.codes[w], run));
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    __m256 sums[W];
#pragma GCC unroll 4
    for (int run = 0; run < runs; ++run) {
      const __m256 value = _mm256_loadu_ps(x + r * x_stride + run * lanes + quarter * width);
#pragma GCC unroll 2
      for (int w = 0; w < W; ++w)
        sums[w] = _mm256_fmadd_ps(weights[w][run], value, run == 0 ? _mm256_setzero_ps() : sums[w]);
    }
#pragma GCC unroll 2
    for (int w = 0; w < W; ++w)
      totals[w][quarter][r] = _mm256_fmadd_ps(sums[w], block.scales[w], totals[w][quarter][r]);
  }
}

// Folds the 32 lanes by halves: 16 and 8 columns apart within a register, then 4, then 2 and 1
// between registers.
inline float fold(__m256 a, __m256 b, __m256 c, __m256 d) {
  const auto halves = [](__m256 x) {
    return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  };
  __m128 e = halves(a), f = halves(b), g = halves(c), h = halves(d);
  _MM_TRANSPOSE4_PS(e, f, g, h);
  const __m128 four = _mm_add_ps(_mm_add_ps(e, g), _mm_add_ps(f, h));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// R rows of x from `row` on times W weight rows from `first` on.
template <int W, int R>
inline void multiply(const Product& p, Index first, Index row) {
  const Weights& weights = p.weights;
  const float* const x = p.x + row * p.x_stride;
  const char* rows[W];
  const float* scales[W];
#pragma GCC unroll 2
  for (int w = 0; w < W; ++w) {
    rows[w] = static_cast<const char*>(weights.data) + (first + w) * weights.stride;
    scales[w] = weights.scales + (first + w) / scale_block * weights.scale_stride;
  }
  NanCodes nan[W];
  __m256 totals[W][quarters][R];
#pragma GCC unroll 2
  for (int w = 0; w < W; ++w)
#pragma GCC unroll 4
    for (int quarter = 0; quarter < quarters; ++quarter)
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) totals[w][quarter][r] = _mm256_setzero_ps();

  char rest[W][scale_block];
  for (Index begin = 0; begin < weights.cols; begin += scale_block) {
    const Index left = weights.cols - begin;
    Block<W> block;
#pragma GCC unroll 2
    for (int w = 0; w < W; ++w) {
      block.codes[w] = rows[w] + begin;
      block.scales[w] = _mm256_set1_ps(scales[w][begin / scale_block] * f8_sum_up);
      for (Index line = 0; line < scale_block; line += cache_line)
        __builtin_prefetch(block.codes[w] + prefetch_distance + line, 0, 2);
      if (left < scale_block) {
        __builtin_memset(rest[w], 0, scale_block);
        __builtin_memcpy(rest[w], block.codes[w], static_cast<std::size_t>(left));
        block.codes[w] = rest[w];
      }
#pragma GCC unroll 4
      for (int run = 0; run < runs; ++run) nan[w].look(load_run(block.codes[w], run));
    }
    add_quarter<0>(block, x + begin, p.x_stride, totals);
    add_quarter<1>(block, x + begin, p.x_stride, totals);
    add_quarter<2>(block, x + begin, p.x_stride, totals);
    add_quarter<3>(block, x + begin, p.x_stride, totals);
  }

#pragma GCC unroll 2
  for (int w = 0; w < W; ++w) {
    const bool number = !nan[w].seen();
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const auto& t = totals[w];
      p.y[(row + r) * p.y_stride + first + w] =
          number ? fold(t[0][r], t[1][r], t[2][r], t[3][r]) : __builtin_nanf("");
    }
  }
}

// One row of activations is waiting for the weights, of which one row at a time comes fastest.
template <int R>
void all_weights(const Product& p, Index row) {
  Index w = p.first;
  if constexpr (R > 1)
    for (; w + 2 <= p.last; w += 2) multiply<2, R>(p, w, row);
  for (; w < p.last; ++w) multiply<1, R>(p, w, row);
}

}  // namespace

void product_f8_avx2(const Product& p) {
  Index row = 0;
  for (; row + 4 <= p.rows; row += 4) all_weights<4>(p, row);
  if (row + 2 <= p.rows) {
    all_weights<2>(p, row);
    row += 2;
  }
  if (row < p.rows) all_weights<1>(p, row);
}

// Behind the last column follows -0, which beside a code of 0 leaves every sum as it was.
void arrange_f8_avx2(const float* x, float* to, Index cols) {
  for (Index begin = 0; begin < arranged_size(cols); begin += lanes)
    for (int i = 0; i < lanes; ++i) {
      const Index c = begin + i % width * quarters + i / width;
      to[begin + i] = c < cols ? f8_activation(x[c]) : -0.0f;
    }
}

}  // namespace hearth::kernels::cpu
