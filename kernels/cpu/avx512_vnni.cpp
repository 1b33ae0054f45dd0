// The sums of a screen where the processor has AVX512_VNNI: one instruction multiplies and adds 64
// codes. What vector.hpp says of linkage holds here.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/table.hpp"

namespace hearth::kernels::cpu {
namespace {

inline std::int32_t sum(__m512i x) {
  const __m256i eight =
      _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1);
}

// Σ x of one vector.
inline std::int32_t total(const std::int8_t* x, std::int64_t cols) {
  __m512i sums = _mm512_setzero_si512();
  for (std::int64_t c = 0; c < cols; c += screen_unit)
    sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), _mm512_loadu_si512(x + c));
  return sum(sums);
}

// Two vectors x beside each other, rows [first, last).
void two(const ScreenSums& s, int v) {
  const std::int8_t* const x = s.x + v * s.cols;
  // The codes stand for q + screen_zero.
  const std::int32_t one_offset = screen_zero * total(x, s.cols);
  const std::int32_t two_offset = screen_zero * total(x + s.cols, s.cols);
  for (std::int64_t w = s.first; w < s.last; ++w) {
    const std::uint8_t* const codes = s.codes + w * s.cols;
    __m512i one_sums = _mm512_setzero_si512();
    __m512i two_sums = _mm512_setzero_si512();
    for (std::int64_t c = 0; c < s.cols; c += screen_unit) {
      _mm_prefetch(codes + c + prefetch_distance, _MM_HINT_T1);
      const __m512i some = _mm512_loadu_si512(codes + c);
      one_sums = _mm512_dpbusd_epi32(one_sums, some, _mm512_loadu_si512(x + c));
      two_sums = _mm512_dpbusd_epi32(two_sums, some, _mm512_loadu_si512(x + s.cols + c));
    }
    std::int32_t* const sums = s.sums + (w - s.first) * s.count + v;
    sums[0] = sum(one_sums) - one_offset;
    sums[1] = sum(two_sums) - two_offset;
  }
}

}  // namespace

void screen_vnni(const ScreenSums& s) {
  for (int v = 0; v < s.count; v += 2) two(s, v);
}

}  // namespace hearth::kernels::cpu
