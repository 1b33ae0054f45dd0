// Registers of the GEMMs as AVX (AVX2, FMA, F16C); vector.hpp has the products.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/gemm/gemm.hpp"

namespace hearth::kernels::cpu {
namespace {

using Floats = __m256;
using Codes = __m256i;

constexpr int width = 8;
constexpr int lane_count = 2;
// 10 of 16 registers are sums (with 12 the compilers spill). Few rows take more weights at once, to
// hide the latency of the sums.
constexpr int tile_rows = 5;
constexpr int tile_vectors(int rows) {
  return rows == 1 ? 8 : rows == 2 ? 4 : 2;
}

inline Floats zero() {
  return _mm256_setzero_ps();
}
inline Floats set(float x) {
  return _mm256_set1_ps(x);
}
inline Floats fma(Floats x, Floats y, Floats z) {
  return _mm256_fmadd_ps(x, y, z);
}
inline Floats load_floats(const void* p) {
  return _mm256_loadu_ps(static_cast<const float*>(p));
}
inline void store_floats(float* p, Floats x) {
  _mm256_storeu_ps(p, x);
}

inline Codes load_codes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline void store_codes(void* p, Codes x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x);
}
inline Codes load_f16(const void* p) {
  return _mm256_castps_si256(_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
// The first numbers, and the second ones, of 8 pairs of BF16.
inline Floats lower_half(const void* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(load_codes(p), 16));
}
inline Floats upper_half(const void* p) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  return _mm256_castsi256_ps(_mm256_and_si256(load_codes(p), mask));
}

inline Codes unpack_low_8(Codes x, Codes y) {
  return _mm256_unpacklo_epi8(x, y);
}
inline Codes unpack_high_8(Codes x, Codes y) {
  return _mm256_unpackhi_epi8(x, y);
}
inline Codes unpack_low_16(Codes x, Codes y) {
  return _mm256_unpacklo_epi16(x, y);
}
inline Codes unpack_high_16(Codes x, Codes y) {
  return _mm256_unpackhi_epi16(x, y);
}
inline Codes unpack_low_32(Codes x, Codes y) {
  return _mm256_unpacklo_epi32(x, y);
}
inline Codes unpack_high_32(Codes x, Codes y) {
  return _mm256_unpackhi_epi32(x, y);
}
inline Codes unpack_low_64(Codes x, Codes y) {
  return _mm256_unpacklo_epi64(x, y);
}
inline Codes unpack_high_64(Codes x, Codes y) {
  return _mm256_unpackhi_epi64(x, y);
}

// Lane i of rows[j] and lane j of rows[i] change places.
inline void transpose_lanes(Codes (&rows)[2]) {
  const Codes low = _mm256_permute2x128_si256(rows[0], rows[1], 0x20);
  rows[1] = _mm256_permute2x128_si256(rows[0], rows[1], 0x31);
  rows[0] = low;
}

struct Halves {
  Codes low;   // the lower byte of each code's BF16
  Codes high;  // the upper byte
};

// Sixteen bytes for each lane: eight values, and the same with a sign.
inline Codes table(int a, int b, int c, int d, int e, int f, int g, int h, int sign) {
  const auto byte = [](int x) { return static_cast<char>(x); };
  return _mm256_broadcastsi128_si256(
      _mm_setr_epi8(byte(a), byte(b), byte(c), byte(d), byte(e), byte(f), byte(g), byte(h),
                    byte(a ^ sign), byte(b ^ sign), byte(c ^ sign), byte(d ^ sign), byte(e ^ sign),
                    byte(f ^ sign), byte(g ^ sign), byte(h ^ sign)));
}

// s eeee mmm with eeee > 0 is the BF16 s (eeee + 120) mmm 0000: its upper byte depends on s and the
// first three bits of eeee, the lower one on the rest. Subnormals and NaN are put right afterwards.
inline Halves f8_to_bf16(Codes codes) {
  const Codes nibble = _mm256_set1_epi8(0x0f);
  const Codes upper = _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble);
  Codes high =
      _mm256_shuffle_epi8(table(0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x80), upper);
  Codes low = _mm256_andnot_si256(nibble, _mm256_slli_epi16(codes, 4));
  const Codes exponent = _mm256_and_si256(codes, _mm256_set1_epi8(0x78));
  const Codes subnormal = _mm256_cmpeq_epi8(exponent, _mm256_setzero_si256());
  // s 000 and 0mmm beside each other; then m · 2^-9 from a table.
  const Codes index = _mm256_and_si256(_mm256_or_si256(upper, codes), nibble);
  const Codes small_high =
      _mm256_shuffle_epi8(table(0, 0x3b, 0x3b, 0x3b, 0x3c, 0x3c, 0x3c, 0x3c, 0x80), index);
  const Codes small_low =
      _mm256_shuffle_epi8(table(0, 0, 0x80, 0xc0, 0, 0x20, 0x40, 0x60, 0), index);
  high = _mm256_blendv_epi8(high, small_high, subnormal);
  low = _mm256_blendv_epi8(low, small_low, subnormal);
  const Codes magnitude = _mm256_set1_epi8(0x7f);
  const Codes nan = _mm256_cmpeq_epi8(_mm256_and_si256(codes, magnitude), magnitude);
  return {low, _mm256_or_si256(high, _mm256_and_si256(nan, magnitude))};
}

}  // namespace
}  // namespace hearth::kernels::cpu

#include "kernels/cpu/gemm/vector.hpp"

namespace hearth::kernels::cpu {
constinit const GemmTable avx2_gemm = gemm_table;
}
