// The F8 product where the processor has AVX512_VBMI: two look-ups in tables of 128 bytes widen 64
// codes to BF16 at once, all 256 codes exactly. Gives the bits of the plain AVX-512 product and
// takes its packing of x (vector_products.hpp); what vector.hpp says of linkage holds here.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/rows/table.hpp"

namespace hearth::kernels::cpu {
namespace {

using Index = std::int64_t;

// Columns that one load brings, and that the pipeline for one row holds.
constexpr Index step = 64;
constexpr Index stage = 4 * step;

// The BF16 of an f8 code without its sign.
constexpr unsigned bf16_of(unsigned code) {
  if (code == 0x7f) return 0x7fc0;
  if (code >= 8) return (code << 4) + (120u << 7);
  // code · 2^-9: the highest bit becomes the implicit one.
  if (code == 0) return 0;
  const unsigned top = code >= 4 ? 2 : code >= 2 ? 1 : 0;
  return ((top + 118) << 7) | ((code << (7 - top)) & 0x7fu);
}

struct Bytes {
  alignas(64) unsigned char at[128];
};
constexpr Bytes bytes_of_bf16(int shift) {
  Bytes result{};
  for (unsigned code = 0; code < 128; ++code)
    result.at[code] = static_cast<unsigned char>(bf16_of(code) >> shift);
  return result;
}
constexpr Bytes high_bytes = bytes_of_bf16(8);
constexpr Bytes low_bytes = bytes_of_bf16(0);

// 64 weights as BF16: a holds the columns 0 … 31, b 32 … 63.
struct Words {
  __m512i a;
  __m512i b;
};

class Widen {
 public:
  Words operator()(const void* p) const {
    // Eight codes each of the columns from 0 and from 32 on share 16 bytes, so that the unpacking
    // below leaves the columns in order.
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    const __m512i codes = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(p));
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
    constexpr int a_or_b_and_c = 0xf8;
    const __m512i high = _mm512_ternarylogic_epi32(
        _mm512_permutex2var_epi8(high_first_, codes, high_last_), codes, sign, a_or_b_and_c);
    const __m512i low = _mm512_permutex2var_epi8(low_first_, codes, low_last_);
    return {_mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high)};
  }

 private:
  const __m512i high_first_ = _mm512_load_si512(high_bytes.at);
  const __m512i high_last_ = _mm512_load_si512(high_bytes.at + 64);
  const __m512i low_first_ = _mm512_load_si512(low_bytes.at);
  const __m512i low_last_ = _mm512_load_si512(low_bytes.at + 64);
};

// Sums of the even lanes and of the odd ones.
struct Lanes {
  __m512 even = _mm512_setzero_ps();
  __m512 odd = _mm512_setzero_ps();
};

inline __m512 even(__m512i words) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}
inline __m512 odd(__m512i words) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  return _mm512_castsi512_ps(_mm512_and_si512(words, high));
}

// Adds 64 columns to the sums of R rows of x.
template <int R>
inline void multiply(Lanes (&sums)[R], Words w, const float* x, Index x_stride) {
  const __m512 weights[] = {even(w.a), odd(w.a), even(w.b), odd(w.b)};
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const float* const row = x + r * x_stride;
    sums[r].even = _mm512_fmadd_ps(weights[0], _mm512_loadu_ps(row), sums[r].even);
    sums[r].odd = _mm512_fmadd_ps(weights[1], _mm512_loadu_ps(row + 16), sums[r].odd);
    sums[r].even = _mm512_fmadd_ps(weights[2], _mm512_loadu_ps(row + 32), sums[r].even);
    sums[r].odd = _mm512_fmadd_ps(weights[3], _mm512_loadu_ps(row + 48), sums[r].odd);
  }
}
inline void multiply(Lanes& sums, Words w, const float* x) {
  Lanes one[] = {sums};
  multiply<1>(one, w, x, 0);
  sums = one[0];
}

inline void add_scaled(Lanes& totals, const Lanes& sums, float scale) {
  const __m512 all = _mm512_set1_ps(scale);
  totals.even = _mm512_fmadd_ps(sums.even, all, totals.even);
  totals.odd = _mm512_fmadd_ps(sums.odd, all, totals.odd);
}

inline float fold(__m512 x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float fold(const Lanes& x) {
  return fold(x.even) + fold(x.odd);
}

inline void prefetch(const char* codes) {
  _mm_prefetch(codes + prefetch_distance, _MM_HINT_T1);
}

// Adds the columns [begin, cols) of one weight row to the totals of R rows of x.
template <int R>
inline void add_blocks(Lanes (&totals)[R], const Widen& widen, const char* row, const float* scales,
                       Index scale_step, Index begin, Index cols, const float* x, Index x_stride) {
  for (; begin < cols; begin += scale_block) {
    const Index end = begin + scale_block < cols ? begin + scale_block : cols;
    Lanes sums[R];
    Index c = begin;
    for (; c + step <= end; c += step) {
      prefetch(row + c);
      multiply<R>(sums, widen(row + c), x + c, x_stride);
    }
    if (c < end) {
      const __mmask64 there = ~std::uint64_t{0} >> (c + step - end);
      const __m512i some = _mm512_maskz_loadu_epi8(there, row + c);
      multiply<R>(sums, widen(&some), x + c, x_stride);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
      add_scaled(totals[r], sums[r], scales[begin / scale_block * scale_step]);
  }
}

// R rows of x from `row` on.
template <int R>
void several_rows(const Product& p, Index row) {
  const Widen widen;
  const Weights& weights = p.weights;
  for (Index w = p.first; w < p.last; ++w) {
    const char* const codes = static_cast<const char*>(weights.data) + w * weights.stride;
    const float* const scales = row_scales(weights, w);
    Lanes totals[R];
    add_blocks<R>(totals, widen, codes, scales, weights.scale_step, 0, weights.cols,
                  p.x + row * p.x_stride, p.x_stride);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) p.y[(row + r) * p.y_stride + w] = fold(totals[r]);
  }
}

// One row of x. The processor's window is too short to widen ahead of the long chains of additions
// by itself, so two blocks go side by side, and what the next 256 columns need is widened between
// the additions of these.
void one_row(const Product& p, Index row) {
  const Widen widen;
  const Weights& weights = p.weights;
  const float* const x = p.x + row * p.x_stride;
  float* const y = p.y + row * p.y_stride;
  const Index staged = weights.cols / stage * stage;
  const char* codes = static_cast<const char*>(weights.data) + p.first * weights.stride;
  Words next[4] = {};
  if (staged > 0)
    for (int i = 0; i < 4; ++i) next[i] = widen(codes + i * step);
  for (Index w = p.first; w < p.last; ++w) {
    const char* const next_row = w + 1 < p.last ? codes + weights.stride : codes;
    const float* const scales = row_scales(weights, w);
    Lanes totals[1];
    for (Index c = 0; c < staged; c += stage) {
      const char* const ahead = c + stage < staged ? codes + c + stage : next_row;
      for (Index line = 0; line < stage; line += cache_line) prefetch(codes + c + line);
      Lanes one, two;
      multiply(one, next[0], x + c);
      next[0] = widen(ahead);
      multiply(two, next[2], x + c + 2 * step);
      next[2] = widen(ahead + 2 * step);
      multiply(one, next[1], x + c + step);
      next[1] = widen(ahead + step);
      multiply(two, next[3], x + c + 3 * step);
      next[3] = widen(ahead + 3 * step);
      add_scaled(totals[0], one, scales[c / scale_block * weights.scale_step]);
      add_scaled(totals[0], two, scales[(c / scale_block + 1) * weights.scale_step]);
    }
    add_blocks<1>(totals, widen, codes, scales, weights.scale_step, staged, weights.cols, x, 0);
    y[w] = fold(totals[0]);
    codes = next_row;
  }
}

}  // namespace

void product_f8_vbmi(const Product& p) {
  Index row = 0;
  for (; row + 4 <= p.rows; row += 4) several_rows<4>(p, row);
  if (row + 2 <= p.rows) {
    several_rows<2>(p, row);
    row += 2;
  }
  if (row < p.rows) one_row(p, row);
}

}  // namespace hearth::kernels::cpu
