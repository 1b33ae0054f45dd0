// The F8 product on AVX2. Without a look-up or a conversion: shifted and masked, a code s eeee mmm
// in any byte of a 32-bit word becomes the F32 s 0000eeee mmm0…0, which is its value · 2^-120,
// subnormals too. So of every 32 columns one register takes each fourth, and the activations are
// packed likewise. Activations go in times f8_up, and the scale times f8_sum_up makes up for what
// the sums lack (table.hpp). What vector.hpp says of linkage holds here.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/rows/table.hpp"

namespace hearth::kernels::cpu {
namespace {

using Index = std::int64_t;

// Lanes of a register; registers that the 32 lanes take: column c is in lane c / 4 of number c % 4.
constexpr int width = 8;
constexpr int quarters = 4;
// Rows of activations that share the widening. Their totals stay in the L1 cache.
constexpr Index rows_at_once = 8;
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
    largest_ = _mm256_max_epu8(largest_, _mm256_or_si256(codes, sign));
  }
  bool seen() const {
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(largest_, _mm256_set1_epi8(-1))) != 0;
  }

 private:
  __m256i largest_ = _mm256_setzero_si256();
};

// A block's codes: in place or, behind the last column, zeros in `padded`.
inline const char* block_codes(const char* codes, Index left, char* padded) {
  for (Index line = 0; line < scale_block; line += cache_line)
    __builtin_prefetch(codes + prefetch_distance + line, 0, 2);
  if (left >= scale_block) return codes;
  __builtin_memset(padded, 0, scale_block);
  __builtin_memcpy(padded, codes, static_cast<std::size_t>(left));
  return padded;
}

// W weight rows' block of codes and their scales.
template <int W>
struct Block {
  const char* codes[W];
  __m256 scales[W];
};

// Adds one quarter of a block's columns to the totals of W weight rows and `rows` activation rows.
// Every activation is loaded once for all weight rows: loads, not additions, are what several rows
// of activations wait for.
template <int quarter, int W>
inline void add_quarter(const Block<W>& block, const float* x, Index x_stride, Index rows,
                        __m256 (&totals)[rows_at_once][quarters][W]) {
  __m256 weights[W][runs];
#pragma GCC unroll 2
  for (int w = 0; w < W; ++w)
#pragma GCC unroll 4
    for (int run = 0; run < runs; ++run)
      weights[w][run] = widen<quarter>(load_run(block.codes[w], run));
  for (Index r = 0; r < rows; ++r) {
    __m256 sums[W];
#pragma GCC unroll 4
    for (int run = 0; run < runs; ++run) {
      __m256 value = _mm256_loadu_ps(x + r * x_stride + run * lanes + quarter * width);
      // Into a register: the compiler would make it an operand of every addition, loaded W times.
      asm("" : "+x"(value));
#pragma GCC unroll 2
      for (int w = 0; w < W; ++w)
        sums[w] = _mm256_fmadd_ps(weights[w][run], value, run == 0 ? _mm256_setzero_ps() : sums[w]);
    }
#pragma GCC unroll 2
    for (int w = 0; w < W; ++w)
      totals[r][quarter][w] = _mm256_fmadd_ps(sums[w], block.scales[w], totals[r][quarter][w]);
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

// `count` rows of x from `row` on times W weight rows from `first` on.
template <int W>
inline void multiply(const Product& p, Index first, Index row, Index count) {
  const Weights& weights = p.weights;
  const float* const x = p.x + row * p.x_stride;
  const char* rows[W];
  const float* scales[W];
#pragma GCC unroll 2
  for (int w = 0; w < W; ++w) {
    rows[w] = static_cast<const char*>(weights.data) + (first + w) * weights.stride;
    scales[w] = row_scales(weights, first + w);
  }
  NanCodes nan[W];
  __m256 totals[rows_at_once][quarters][W];
  for (Index r = 0; r < count; ++r)
#pragma GCC unroll 4
    for (int quarter = 0; quarter < quarters; ++quarter)
#pragma GCC unroll 2
      for (int w = 0; w < W; ++w) totals[r][quarter][w] = _mm256_setzero_ps();

  char padded[W][scale_block];
  for (Index begin = 0; begin < weights.cols; begin += scale_block) {
    Block<W> block;
#pragma GCC unroll 2
    for (int w = 0; w < W; ++w) {
      block.codes[w] = block_codes(rows[w] + begin, weights.cols - begin, padded[w]);
      block.scales[w] =
          _mm256_set1_ps(scales[w][begin / scale_block * weights.scale_step] * f8_sum_up);
#pragma GCC unroll 4
      for (int run = 0; run < runs; ++run) nan[w].look(load_run(block.codes[w], run));
    }
    add_quarter<0>(block, x + begin, p.x_stride, count, totals);
    add_quarter<1>(block, x + begin, p.x_stride, count, totals);
    add_quarter<2>(block, x + begin, p.x_stride, count, totals);
    add_quarter<3>(block, x + begin, p.x_stride, count, totals);
  }

#pragma GCC unroll 2
  for (int w = 0; w < W; ++w) {
    const bool number = !nan[w].seen();
    for (Index r = 0; r < count; ++r) {
      const auto& t = totals[r];
      p.y[(row + r) * p.y_stride + first + w] =
          number ? fold(t[0][w], t[1][w], t[2][w], t[3][w]) : __builtin_nanf("");
    }
  }
}

// All weight rows, two at a time.
void several_rows(const Product& p, Index row, Index count) {
  Index w = p.first;
  for (; w + 2 <= p.last; w += 2) multiply<2>(p, w, row, count);
  if (w < p.last) multiply<1>(p, w, row, count);
}

// The codes in bytes 1 and 3 of every word, as the upper halves of what widen makes of them.
inline __m256i upper_halves(__m256i codes) {
  const __m256i mask = _mm256_set1_epi16(static_cast<short>(0x87f0));
  return _mm256_and_si256(_mm256_srai_epi16(codes, 4), mask);
}

// One row of activations times one weight row. All quarters of a block at once: two codes share the
// first steps of their widening, and a code is loaded once.
inline void multiply_one(const Product& p, Index w, Index row) {
  const Weights& weights = p.weights;
  const char* const codes = static_cast<const char*>(weights.data) + w * weights.stride;
  const float* const scales = row_scales(weights, w);
  const float* const x = p.x + row * p.x_stride;
  const __m256i odd_half = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  NanCodes nan;
  __m256 totals[quarters];
#pragma GCC unroll 4
  for (int quarter = 0; quarter < quarters; ++quarter) totals[quarter] = _mm256_setzero_ps();

  char padded[scale_block];
  for (Index begin = 0; begin < weights.cols; begin += scale_block) {
    const char* const block = block_codes(codes + begin, weights.cols - begin, padded);
    __m256 sums[quarters];
#pragma GCC unroll 4
    for (int run = 0; run < runs; ++run) {
      const __m256i some = load_run(block, run);
      nan.look(some);
      const __m256i odd = upper_halves(some);
      const __m256i even = upper_halves(_mm256_slli_epi16(some, 8));
      const __m256i widened[quarters] = {_mm256_slli_epi32(even, 16), _mm256_slli_epi32(odd, 16),
                                         _mm256_and_si256(even, odd_half),
                                         _mm256_and_si256(odd, odd_half)};
#pragma GCC unroll 4
      for (int quarter = 0; quarter < quarters; ++quarter) {
        const __m256 value = _mm256_loadu_ps(x + begin + run * lanes + quarter * width);
        sums[quarter] = _mm256_fmadd_ps(_mm256_castsi256_ps(widened[quarter]), value,
                                        run == 0 ? _mm256_setzero_ps() : sums[quarter]);
      }
    }
    const __m256 scale =
        _mm256_set1_ps(scales[begin / scale_block * weights.scale_step] * f8_sum_up);
#pragma GCC unroll 4
    for (int quarter = 0; quarter < quarters; ++quarter)
      totals[quarter] = _mm256_fmadd_ps(sums[quarter], scale, totals[quarter]);
  }
  p.y[row * p.y_stride + w] =
      nan.seen() ? __builtin_nanf("") : fold(totals[0], totals[1], totals[2], totals[3]);
}

// f8_activation of 8 values, in the order 0 4 1 5 2 6 3 7: what goes to one quarter is adjacent.
inline __m256d activations(const float* x) {
  const __m256 value = _mm256_loadu_ps(x);
  const __m256 sign = _mm256_and_ps(value, _mm256_set1_ps(-0.0f));
  const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value);
  const __m256 small = _mm256_cmp_ps(size, _mm256_set1_ps(f8_least), _CMP_LT_OQ);
  const __m256 kept = _mm256_mul_ps(_mm256_blendv_ps(value, sign, small), _mm256_set1_ps(f8_up));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_castps_pd(_mm256_permutevar8x32_ps(kept, order));
}

// 32 activations by quarters: pairs of columns, transposed.
inline void pack_run(const float* x, float* to) {
  const __m256d a = activations(x), b = activations(x + 8);
  const __m256d c = activations(x + 16), d = activations(x + 24);
  const __m256d even_low = _mm256_unpacklo_pd(a, b), odd_low = _mm256_unpackhi_pd(a, b);
  const __m256d even_high = _mm256_unpacklo_pd(c, d), odd_high = _mm256_unpackhi_pd(c, d);
  const auto store = [to](int quarter, __m256d values) {
    _mm256_storeu_ps(to + quarter * width, _mm256_castpd_ps(values));
  };
  store(0, _mm256_permute2f128_pd(even_low, even_high, 0x20));
  store(1, _mm256_permute2f128_pd(odd_low, odd_high, 0x20));
  store(2, _mm256_permute2f128_pd(even_low, even_high, 0x31));
  store(3, _mm256_permute2f128_pd(odd_low, odd_high, 0x31));
}

}  // namespace

void product_f8_avx2(const Product& p) {
  for (Index row = 0; row < p.rows; row += rows_at_once) {
    const Index count = p.rows - row < rows_at_once ? p.rows - row : rows_at_once;
    if (count > 1) {
      several_rows(p, row, count);
    } else {
      for (Index w = p.first; w < p.last; ++w) multiply_one(p, w, row);
    }
  }
}

// Behind the last column follows -0, which beside a code of 0 leaves every sum as it was.
void pack_f8_avx2(const float* x, float* to, Index cols) {
  for (Index begin = 0; begin < packed_size(cols); begin += lanes) {
    float rest[lanes];
    const float* from = x + begin;
    if (begin + lanes > cols) {
      for (Index i = 0; i < lanes; ++i) rest[i] = begin + i < cols ? x[begin + i] : -0.0f;
      from = rest;
    }
    pack_run(from, to + begin);
  }
}

}  // namespace hearth::kernels::cpu
