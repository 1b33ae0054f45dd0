// Registers of the GEMMs as AVX-512 (F, BW, DQ, VL). Part of avx512.cpp and
// avx512_vbmi.cpp, which add the widening of F8.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/gemm/gemm.hpp"

namespace hearth::kernels::cpu {
namespace {

using Floats = __m512;
using Codes = __m512i;

constexpr int width = 16;
constexpr int lane_count = 4;
// 24 of 32 registers are sums. Few rows take more weights at once, to hide the latency of the sums.
constexpr int tile_rows = 12;
constexpr int tile_vectors(int rows) {
  return rows <= 5 ? 4 : 2;
}

inline Floats zero() {
  return _mm512_setzero_ps();
}
inline Floats set(float x) {
  return _mm512_set1_ps(x);
}
inline Floats fma(Floats x, Floats y, Floats z) {
  return _mm512_fmadd_ps(x, y, z);
}
inline Floats load_floats(const void* p) {
  return _mm512_loadu_ps(p);
}
inline void store_floats(float* p, Floats x) {
  _mm512_storeu_ps(p, x);
}
// The first numbers, and the second ones, of 16 pairs of BF16.
inline Floats lower_half(const void* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}
inline Floats upper_half(const void* p) {
  const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), mask));
}

inline Codes load_codes(const void* p) {
  return _mm512_loadu_si512(p);
}
inline void store_codes(void* p, Codes x) {
  _mm512_storeu_si512(p, x);
}
inline Codes load_f16(const void* p) {
  return _mm512_castps_si512(_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))));
}

inline Codes unpack_low_8(Codes x, Codes y) {
  return _mm512_unpacklo_epi8(x, y);
}
inline Codes unpack_high_8(Codes x, Codes y) {
  return _mm512_unpackhi_epi8(x, y);
}
inline Codes unpack_low_16(Codes x, Codes y) {
  return _mm512_unpacklo_epi16(x, y);
}
inline Codes unpack_high_16(Codes x, Codes y) {
  return _mm512_unpackhi_epi16(x, y);
}
inline Codes unpack_low_32(Codes x, Codes y) {
  return _mm512_unpacklo_epi32(x, y);
}
inline Codes unpack_high_32(Codes x, Codes y) {
  return _mm512_unpackhi_epi32(x, y);
}
inline Codes unpack_low_64(Codes x, Codes y) {
  return _mm512_unpacklo_epi64(x, y);
}
inline Codes unpack_high_64(Codes x, Codes y) {
  return _mm512_unpackhi_epi64(x, y);
}

// Lane i of rows[j] and lane j of rows[i] change places.
inline void transpose_lanes(Codes (&rows)[4]) {
  const Codes a = _mm512_shuffle_i32x4(rows[0], rows[1], 0x44);  // 0.0 0.1 1.0 1.1
  const Codes b = _mm512_shuffle_i32x4(rows[0], rows[1], 0xee);  // 0.2 0.3 1.2 1.3
  const Codes c = _mm512_shuffle_i32x4(rows[2], rows[3], 0x44);
  const Codes d = _mm512_shuffle_i32x4(rows[2], rows[3], 0xee);
  rows[0] = _mm512_shuffle_i32x4(a, c, 0x88);
  rows[1] = _mm512_shuffle_i32x4(a, c, 0xdd);
  rows[2] = _mm512_shuffle_i32x4(b, d, 0x88);
  rows[3] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

// Eight bytes of the first half and eight of the second by turns: what unpack_low_8 then takes from
// all lanes is the first half in order, what unpack_high_8 takes is the second.
inline Codes spread_halves(Codes x) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), x);
}

struct Halves {
  Codes low;   // the lower byte of each code's BF16
  Codes high;  // the upper byte
};

}  // namespace
}  // namespace hearth::kernels::cpu
