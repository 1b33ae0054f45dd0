// Lanes as two AVX-512 registers (F, BW, DQ, VL). Owns the instructions; vector.hpp the operations.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/rows/table.hpp"
#include "kernels/exp_constants.hpp"

namespace hearth::kernels::cpu {
namespace {

struct Lanes {
  __m512 a;  // lanes 0 … 15
  __m512 b;  // lanes 16 … 31
};

// 2 registers each, of 32.
constexpr int rows_at_once = 8;

// --- Half of the lanes: what small products are made of ------------------------------------------

using Register = __m512;
constexpr int register_floats = 16;
// Rows of a tile of products: 16 of 32 registers are sums.
constexpr int tile_rows = 8;

inline Register broadcast(float x) {
  return _mm512_set1_ps(x);
}
inline Register fma(Register x, Register y, Register z) {
  return _mm512_fmadd_ps(x, y, z);
}
inline Register add(Register x, Register y) {
  return _mm512_add_ps(x, y);
}
inline Register mul(Register x, Register y) {
  return _mm512_mul_ps(x, y);
}
inline Register load_register(const void* p) {
  return _mm512_loadu_ps(p);
}
inline Register load_register_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline void store_register(float* p, Register x) {
  _mm512_storeu_ps(p, x);
}

// Folds 4 · 4 registers at once, by halves as in fold_sum: sums[j][r] to out[r][j]. Each step adds
// the halves of two registers, brought together in one.
constexpr int folds = 16;
inline void fold_registers(const Register (&sums)[4][4], float (&out)[4][4]) {
  Register eight[4][2], four[4], two[2];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
      eight[j][i] = add(_mm512_shuffle_f32x4(sums[j][2 * i], sums[j][2 * i + 1], 0x44),
                        _mm512_shuffle_f32x4(sums[j][2 * i], sums[j][2 * i + 1], 0xee));
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
    four[j] = add(_mm512_shuffle_f32x4(eight[j][0], eight[j][1], 0x88),
                  _mm512_shuffle_f32x4(eight[j][0], eight[j][1], 0xdd));
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j)
    two[j] = add(_mm512_shuffle_ps(four[2 * j], four[2 * j + 1], 0x44),
                 _mm512_shuffle_ps(four[2 * j], four[2 * j + 1], 0xee));
  _mm512_storeu_ps(
      out, add(_mm512_shuffle_ps(two[0], two[1], 0x88), _mm512_shuffle_ps(two[0], two[1], 0xdd)));
}

// --- All lanes -----------------------------------------------------------------------------------

inline Lanes set(float x) {
  return {_mm512_set1_ps(x), _mm512_set1_ps(x)};
}
inline Lanes zero() {
  return {_mm512_setzero_ps(), _mm512_setzero_ps()};
}

inline Lanes add(Lanes x, Lanes y) {
  return {_mm512_add_ps(x.a, y.a), _mm512_add_ps(x.b, y.b)};
}
inline Lanes sub(Lanes x, Lanes y) {
  return {_mm512_sub_ps(x.a, y.a), _mm512_sub_ps(x.b, y.b)};
}
inline Lanes mul(Lanes x, Lanes y) {
  return {_mm512_mul_ps(x.a, y.a), _mm512_mul_ps(x.b, y.b)};
}
inline Lanes div(Lanes x, Lanes y) {
  return {_mm512_div_ps(x.a, y.a), _mm512_div_ps(x.b, y.b)};
}
inline Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {_mm512_fmadd_ps(x.a, y.a, z.a), _mm512_fmadd_ps(x.b, y.b, z.b)};
}
// x > y ? x : y, and x < y ? x : y; so y where one is NaN.
inline Lanes larger(Lanes x, Lanes y) {
  return {_mm512_max_ps(x.a, y.a), _mm512_max_ps(x.b, y.b)};
}
inline Lanes smaller(Lanes x, Lanes y) {
  return {_mm512_min_ps(x.a, y.a), _mm512_min_ps(x.b, y.b)};
}

inline float first_lane(Lanes x) {
  return _mm512_cvtss_f32(x.a);
}
inline float square_root(float x) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

inline __m256 low(__m512 x) {
  return _mm512_castps512_ps256(x);
}
inline __m256 high(__m512 x) {
  return _mm512_extractf32x8_ps(x, 1);
}

inline float fold_sum(Lanes x) {
  const __m512 sixteen = _mm512_add_ps(x.a, x.b);
  const __m256 eight = _mm256_add_ps(low(sixteen), high(sixteen));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// The same for lanes of which the even ones stand in a and the odd ones in b.
inline float fold_halves(__m512 x) {
  const __m256 eight = _mm256_add_ps(low(x), high(x));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float fold_paired(Lanes x) {
  return fold_halves(x.a) + fold_halves(x.b);
}
inline float fold_larger(Lanes x) {
  const __m512 sixteen = _mm512_max_ps(x.a, x.b);
  const __m256 eight = _mm256_max_ps(low(sixteen), high(sixteen));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// x · 2^n, where `shifted` is n plus the magic number of exp. In two factors, as in numeric.hpp.
inline __m512 times_power_of_two(__m512 x, __m512 shifted) {
  const __m512i magic = _mm512_castps_si512(_mm512_set1_ps(exp_constants::magic));
  const __m512i bias = _mm512_set1_epi32(127);
  const __m512i power = _mm512_sub_epi32(_mm512_castps_si512(shifted), magic);
  const __m512i half = _mm512_srai_epi32(power, 1);
  const __m512i rest = _mm512_sub_epi32(power, half);
  const __m512i first = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
  const __m512i second = _mm512_slli_epi32(_mm512_add_epi32(rest, bias), 23);
  return _mm512_mul_ps(_mm512_mul_ps(x, _mm512_castsi512_ps(first)), _mm512_castsi512_ps(second));
}
inline Lanes times_power_of_two(Lanes x, Lanes shifted) {
  return {times_power_of_two(x.a, shifted.a), times_power_of_two(x.b, shifted.b)};
}

inline Lanes load_f32(const void* p) {
  const float* const x = static_cast<const float*>(p);
  return {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)};
}
inline void store_f32(float* p, Lanes x) {
  _mm512_storeu_ps(p, x.a);
  _mm512_storeu_ps(p + 16, x.b);
}

inline __m256i low(__m512i x) {
  return _mm512_castsi512_si256(x);
}
inline __m256i high(__m512i x) {
  return _mm512_extracti64x4_epi64(x, 1);
}

inline Lanes load_f16(const void* p) {
  const __m512i codes = _mm512_loadu_si512(p);
  return {_mm512_cvtph_ps(low(codes)), _mm512_cvtph_ps(high(codes))};
}

inline __m512 widen_bf16(__m256i codes) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(codes), 16));
}
inline Lanes load_bf16(const void* p) {
  const __m512i codes = _mm512_loadu_si512(p);
  return {widen_bf16(low(codes)), widen_bf16(high(codes))};
}

// An e4m3 code s eeee mmm becomes the f16 s 0eeee mmm0000000, which is its value · 2^-8, subnormals
// too; the two NaN codes are made f16 NaN.
inline Lanes load_f8(const void* p) {
  const __m256i bytes = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  const __m512i shifted = _mm512_slli_epi16(_mm512_cvtepi8_epi16(bytes), 7);
  const __m512i codes = _mm512_and_si512(shifted, _mm512_set1_epi16(static_cast<short>(0xbfff)));
  // Only for eeee mmm = 1111 111 does one unit more carry into the bit above eeee.
  const __m512i carried = _mm512_add_epi16(codes, _mm512_set1_epi16(0x80));
  const __m512i nan = _mm512_and_si512(carried, _mm512_set1_epi16(0x4000));
  const __m512i halves = _mm512_or_si512(codes, nan);
  const __m512 scale = _mm512_set1_ps(256);
  return {_mm512_mul_ps(_mm512_cvtph_ps(low(halves)), scale),
          _mm512_mul_ps(_mm512_cvtph_ps(high(halves)), scale)};
}

// 32 codes; the even columns in a, the odd ones in b.
inline Lanes load_paired_bf16(const void* p) {
  const __m512i codes = _mm512_loadu_si512(p);
  const __m512i odd = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(codes, 16)),
          _mm512_castsi512_ps(_mm512_and_si512(codes, odd))};
}

// 64 codes, 32 to each of w, the even columns in a, the odd ones in b. A word holds two codes; one
// in its high byte becomes an f16 as in load_f8.
constexpr float f8_packed = f8_down;
inline void load_paired_f8(const void* p, Lanes (&w)[2]) {
  const __m512i codes = _mm512_loadu_si512(p);
  const __m512i mask = _mm512_set1_epi16(static_cast<short>(0xbf80));
  const __m512i even = _mm512_and_si512(_mm512_srai_epi16(_mm512_slli_epi16(codes, 8), 1), mask);
  const __m512i odd = _mm512_and_si512(_mm512_srai_epi16(codes, 1), mask);
  const __m512 scale = _mm512_set1_ps(256);
  w[0] = {_mm512_mul_ps(_mm512_cvtph_ps(low(even)), scale),
          _mm512_mul_ps(_mm512_cvtph_ps(low(odd)), scale)};
  w[1] = {_mm512_mul_ps(_mm512_cvtph_ps(high(even)), scale),
          _mm512_mul_ps(_mm512_cvtph_ps(high(odd)), scale)};
}

// Remembers whether one of the f8 codes looked at, 64 at a time, was NaN: 0x7f or 0xff.
class NanCodes {
 public:
  void look(const void* p) {
    largest_ = _mm512_max_epu8(largest_, _mm512_or_si512(_mm512_loadu_si512(p), sign()));
  }
  bool seen() const { return _mm512_cmpeq_epi8_mask(largest_, _mm512_set1_epi8(-1)) != 0; }

 private:
  static __m512i sign() { return _mm512_set1_epi8(static_cast<char>(0x80)); }
  __m512i largest_ = _mm512_setzero_si512();
};

// 32 codes of a shortlist as 16-bit numbers.
inline __m512i widen_codes(const std::int8_t* codes) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
}

// The sum of products of a shortlist's codes and a row of activations.
class CodeSums {
 public:
  void add(__m512i codes, const std::int16_t* x) {
    sums_ = _mm512_add_epi32(sums_, _mm512_madd_epi16(codes, _mm512_loadu_si512(x)));
  }
  std::int64_t sum() const {
    const __m512i eight =
        _mm512_add_epi64(_mm512_cvtepi32_epi64(low(sums_)), _mm512_cvtepi32_epi64(high(sums_)));
    const __m256i four = _mm256_add_epi64(low(eight), high(eight));
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
  }

 private:
  __m512i sums_ = _mm512_setzero_si512();
};

}  // namespace
}  // namespace hearth::kernels::cpu

#include "kernels/cpu/rows/vector.hpp"
// This uses the former.
#include "kernels/cpu/rows/vector_f8.hpp"

namespace hearth::kernels::cpu {
constinit const Table avx512_table = vector_table(pack_f8, product_f8);
}
