// The GEMMs on AVX-512 (F, BW, DQ, VL).
#include "kernels/cpu/gemm/avx512.hpp"

namespace hearth::kernels::cpu {
namespace {

// Sixteen bytes for each lane: eight values, and the same with a sign.
inline Codes table(int a, int b, int c, int d, int e, int f, int g, int h, int sign) {
  const auto byte = [](int x) { return static_cast<char>(x); };
  return _mm512_broadcast_i32x4(_mm_setr_epi8(byte(a), byte(b), byte(c), byte(d), byte(e), byte(f),
                                              byte(g), byte(h), byte(a ^ sign), byte(b ^ sign),
                                              byte(c ^ sign), byte(d ^ sign), byte(e ^ sign),
                                              byte(f ^ sign), byte(g ^ sign), byte(h ^ sign)));
}

// s eeee mmm with eeee > 0 is the BF16 s (eeee + 120) mmm 0000: its upper byte depends on s and the
// first three bits of eeee, the lower one on the rest. Subnormals and NaN are put right afterwards.
inline Halves f8_to_bf16(Codes codes) {
  const Codes nibble = _mm512_set1_epi8(0x0f);
  const Codes upper = _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble);
  Codes high =
      _mm512_shuffle_epi8(table(0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x80), upper);
  Codes low = _mm512_andnot_si512(nibble, _mm512_slli_epi16(codes, 4));
  const __mmask64 subnormal = _mm512_testn_epi8_mask(codes, _mm512_set1_epi8(0x78));
  // s 000 and 0mmm beside each other; then m · 2^-9 from a table.
  const Codes index = _mm512_and_si512(_mm512_or_si512(upper, codes), nibble);
  high = _mm512_mask_shuffle_epi8(high, subnormal,
                                  table(0, 0x3b, 0x3b, 0x3b, 0x3c, 0x3c, 0x3c, 0x3c, 0x80), index);
  low = _mm512_mask_shuffle_epi8(low, subnormal, table(0, 0, 0x80, 0xc0, 0, 0x20, 0x40, 0x60, 0),
                                 index);
  const Codes magnitude = _mm512_set1_epi8(0x7f);
  const __mmask64 nan = _mm512_cmpeq_epi8_mask(_mm512_and_si512(codes, magnitude), magnitude);
  return {low, _mm512_or_si512(high, _mm512_maskz_mov_epi8(nan, magnitude))};
}

}  // namespace
}  // namespace hearth::kernels::cpu

#include "kernels/cpu/gemm/vector.hpp"

namespace hearth::kernels::cpu {
constinit const GemmTable avx512_gemm = gemm_table;
}
