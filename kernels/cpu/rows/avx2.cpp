// Lanes as four AVX registers (AVX2, FMA, F16C). Owns the instructions; vector.hpp the operations.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/rows/table.hpp"
#include "kernels/exp_constants.hpp"

namespace hearth::kernels::cpu {
namespace {

struct Lanes {
  __m256 a;  // lanes 0 … 7
  __m256 b;
  __m256 c;
  __m256 d;  // lanes 24 … 31
};

// 4 registers each, of 16.
constexpr int rows_at_once = 2;

// --- A quarter of the lanes: what small products are made of -------------------------------------

using Register = __m256;
constexpr int register_floats = 8;
// Rows of a tile of products: 12 of 16 registers are sums.
constexpr int tile_rows = 6;

inline Register broadcast(float x) {
  return _mm256_set1_ps(x);
}
inline Register fma(Register x, Register y, Register z) {
  return _mm256_fmadd_ps(x, y, z);
}
inline Register add(Register x, Register y) {
  return _mm256_add_ps(x, y);
}
inline Register mul(Register x, Register y) {
  return _mm256_mul_ps(x, y);
}
inline Register load_register(const void* p) {
  return _mm256_loadu_ps(static_cast<const float*>(p));
}
inline Register load_register_f16(const void* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline void store_register(float* p, Register x) {
  _mm256_storeu_ps(p, x);
}

// Folds 4 · 2 registers at once, by halves as in fold_sum: sums[j][r] to out[r][j]. Each step adds
// the halves of two registers, brought together in one.
constexpr int folds = 8;
inline void fold_registers(const Register (&sums)[4][2], float (&out)[2][4]) {
  Register four[4], two[2];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
    four[j] = add(_mm256_permute2f128_ps(sums[j][0], sums[j][1], 0x20),
                  _mm256_permute2f128_ps(sums[j][0], sums[j][1], 0x31));
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j)
    two[j] = add(_mm256_shuffle_ps(four[2 * j], four[2 * j + 1], 0x44),
                 _mm256_shuffle_ps(four[2 * j], four[2 * j + 1], 0xee));
  const Register all =
      add(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xdd));
  _mm_storeu_ps(out[0], _mm256_castps256_ps128(all));
  _mm_storeu_ps(out[1], _mm256_extractf128_ps(all, 1));
}

// --- All lanes -----------------------------------------------------------------------------------

template <class Operation>
inline Lanes map(Operation operation, Lanes x) {
  return {operation(x.a), operation(x.b), operation(x.c), operation(x.d)};
}
template <class Operation>
inline Lanes map(Operation operation, Lanes x, Lanes y) {
  return {operation(x.a, y.a), operation(x.b, y.b), operation(x.c, y.c), operation(x.d, y.d)};
}

inline Lanes set(float x) {
  const __m256 all = _mm256_set1_ps(x);
  return {all, all, all, all};
}
inline Lanes zero() {
  return set(0);
}

inline Lanes add(Lanes x, Lanes y) {
  return map([](__m256 p, __m256 q) { return _mm256_add_ps(p, q); }, x, y);
}
inline Lanes sub(Lanes x, Lanes y) {
  return map([](__m256 p, __m256 q) { return _mm256_sub_ps(p, q); }, x, y);
}
inline Lanes mul(Lanes x, Lanes y) {
  return map([](__m256 p, __m256 q) { return _mm256_mul_ps(p, q); }, x, y);
}
inline Lanes div(Lanes x, Lanes y) {
  return map([](__m256 p, __m256 q) { return _mm256_div_ps(p, q); }, x, y);
}
inline Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b),
          _mm256_fmadd_ps(x.c, y.c, z.c), _mm256_fmadd_ps(x.d, y.d, z.d)};
}
// x > y ? x : y, and x < y ? x : y; so y where one is NaN.
inline Lanes larger(Lanes x, Lanes y) {
  return map([](__m256 p, __m256 q) { return _mm256_max_ps(p, q); }, x, y);
}
inline Lanes smaller(Lanes x, Lanes y) {
  return map([](__m256 p, __m256 q) { return _mm256_min_ps(p, q); }, x, y);
}

inline float first_lane(Lanes x) {
  return _mm256_cvtss_f32(x.a);
}
inline float square_root(float x) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

inline float fold_sum(Lanes x) {
  const __m256 eight = _mm256_add_ps(_mm256_add_ps(x.a, x.c), _mm256_add_ps(x.b, x.d));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// The same for lanes of which the even ones stand in a, b and the odd ones in c, d.
inline float fold_halves(__m256 x, __m256 y) {
  const __m256 eight = _mm256_add_ps(x, y);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float fold_paired(Lanes x) {
  return fold_halves(x.a, x.b) + fold_halves(x.c, x.d);
}
inline float fold_larger(Lanes x) {
  const __m256 eight = _mm256_max_ps(_mm256_max_ps(x.a, x.c), _mm256_max_ps(x.b, x.d));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// x · 2^n, where `shifted` is n plus the magic number of exp. In two factors, as in numeric.hpp.
inline __m256 times_power_of_two(__m256 x, __m256 shifted) {
  const __m256i magic = _mm256_castps_si256(_mm256_set1_ps(exp_constants::magic));
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i power = _mm256_sub_epi32(_mm256_castps_si256(shifted), magic);
  const __m256i half = _mm256_srai_epi32(power, 1);
  const __m256i rest = _mm256_sub_epi32(power, half);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
inline Lanes times_power_of_two(Lanes x, Lanes shifted) {
  return map([](__m256 p, __m256 q) { return times_power_of_two(p, q); }, x, shifted);
}

inline Lanes load_f32(const void* p) {
  const float* const x = static_cast<const float*>(p);
  return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16),
          _mm256_loadu_ps(x + 24)};
}
inline void store_f32(float* p, Lanes x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
  _mm256_storeu_ps(p + 16, x.c);
  _mm256_storeu_ps(p + 24, x.d);
}

// Group n of sixteen bytes.
inline __m128i sixteen_bytes(const void* p, int group) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p) + group);
}

inline Lanes load_f16(const void* p) {
  return {_mm256_cvtph_ps(sixteen_bytes(p, 0)), _mm256_cvtph_ps(sixteen_bytes(p, 1)),
          _mm256_cvtph_ps(sixteen_bytes(p, 2)), _mm256_cvtph_ps(sixteen_bytes(p, 3))};
}

inline __m256 widen_bf16(__m128i codes) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(codes), 16));
}
inline Lanes load_bf16(const void* p) {
  return {widen_bf16(sixteen_bytes(p, 0)), widen_bf16(sixteen_bytes(p, 1)),
          widen_bf16(sixteen_bytes(p, 2)), widen_bf16(sixteen_bytes(p, 3))};
}

// An e4m3 code s eeee mmm becomes the f16 s 0eeee mmm0000000, which is its value · 2^-8, subnormals
// too; the two NaN codes are made f16 NaN.
inline __m256i f8_to_f16(__m128i bytes) {
  const __m256i shifted = _mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 7);
  const __m256i codes = _mm256_and_si256(shifted, _mm256_set1_epi16(static_cast<short>(0xbfff)));
  // Only for eeee mmm = 1111 111 does one unit more carry into the bit above eeee.
  const __m256i carried = _mm256_add_epi16(codes, _mm256_set1_epi16(0x80));
  return _mm256_or_si256(codes, _mm256_and_si256(carried, _mm256_set1_epi16(0x4000)));
}
inline Lanes load_f8(const void* p) {
  const __m256i one = f8_to_f16(sixteen_bytes(p, 0));
  const __m256i two = f8_to_f16(sixteen_bytes(p, 1));
  const Lanes values = {_mm256_cvtph_ps(_mm256_castsi256_si128(one)),
                        _mm256_cvtph_ps(_mm256_extracti128_si256(one, 1)),
                        _mm256_cvtph_ps(_mm256_castsi256_si128(two)),
                        _mm256_cvtph_ps(_mm256_extracti128_si256(two, 1))};
  return mul(values, set(256));
}

// Group n of 32 bytes.
inline __m256i bytes_32(const void* p, int group) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p) + group);
}

// 32 codes; the even columns in a, b, the odd ones in c, d.
inline Lanes load_paired_bf16(const void* p) {
  const __m256i one = bytes_32(p, 0);
  const __m256i two = bytes_32(p, 1);
  const __m256i odd = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(one, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(two, 16)),
          _mm256_castsi256_ps(_mm256_and_si256(one, odd)),
          _mm256_castsi256_ps(_mm256_and_si256(two, odd))};
}

// 64 codes, paired in every 32 as above. As in f8_to_f16, but times 2^-8 and NaN as a number.
constexpr float f8_packed = f8_down * 256;
inline void load_paired_f8(const void* p, Lanes (&w)[2]) {
  const __m256i mask = _mm256_set1_epi16(static_cast<short>(0xbf80));
  const auto low = [](__m256i x) { return _mm256_cvtph_ps(_mm256_castsi256_si128(x)); };
  const auto high = [](__m256i x) { return _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1)); };
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m256i codes = bytes_32(p, i);
    const __m256i even = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(codes, 8), 1), mask);
    const __m256i odd = _mm256_and_si256(_mm256_srai_epi16(codes, 1), mask);
    w[i] = {low(even), high(even), low(odd), high(odd)};
  }
}

// Remembers whether one of 64 codes was NaN, 0x7f or 0xff.
class NanCodes {
 public:
  void look(const void* p) {
    const __m256i sign = _mm256_set1_epi8(static_cast<char>(0x80));
    for (int i = 0; i < 2; ++i)
      largest_ = _mm256_max_epu8(largest_, _mm256_or_si256(bytes_32(p, i), sign));
  }
  bool seen() const {
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(largest_, _mm256_set1_epi8(-1))) != 0;
  }

 private:
  __m256i largest_ = _mm256_setzero_si256();
};

// 32 codes of a shortlist as 16-bit numbers.
struct WideCodes {
  __m256i low, high;
};

inline WideCodes widen_codes(const std::int8_t* codes) {
  const auto* const from = reinterpret_cast<const __m128i*>(codes);
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(from)),
          _mm256_cvtepi8_epi16(_mm_loadu_si128(from + 1))};
}

// The sum of products of a shortlist's codes and a row of activations.
class CodeSums {
 public:
  void add(const WideCodes& codes, const std::int16_t* x) {
    sums_ = _mm256_add_epi32(sums_, _mm256_madd_epi16(codes.low, bytes_32(x, 0)));
    sums_ = _mm256_add_epi32(sums_, _mm256_madd_epi16(codes.high, bytes_32(x, 1)));
  }
  std::int64_t sum() const {
    const __m256i four =
        _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums_)),
                         _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sums_, 1)));
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
  }

 private:
  __m256i sums_ = _mm256_setzero_si256();
};

}  // namespace
}  // namespace hearth::kernels::cpu

#include "kernels/cpu/rows/vector.hpp"
// In its terms.
#include "kernels/cpu/rows/vector_f8.hpp"

namespace hearth::kernels::cpu {
constinit const Table avx2_table = vector_table(pack_f8_avx2, product_f8_avx2);
constinit const Table avx2_f16_table = vector_table(pack_f8, product_f8);
}  // namespace hearth::kernels::cpu
