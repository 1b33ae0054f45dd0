// The widening of F8 on AVX-512 with VBMI: a lookup in 128 bytes does it in two instructions. Part
// of avx512_vbmi.cpp and amx.cpp.
#include "kernels/cpu/gemm/avx512.hpp"

namespace hearth::kernels::cpu {
namespace {

// The BF16 of every code without its sign, in two halves.
struct F8Table {
  alignas(64) unsigned char low[128];
  alignas(64) unsigned char high[128];
};

constexpr F8Table f8_table = [] {
  constexpr int subnormal[8] = {0, 0x3b00, 0x3b80, 0x3bc0, 0x3c00, 0x3c20, 0x3c40, 0x3c60};
  F8Table result{};
  for (int code = 0; code < 128; ++code) {
    const int normal = (120 << 7) + (code << 4);
    const int bf16 = code < 8 ? subnormal[code] : code < 127 ? normal : 0x7fc0;
    result.low[code] = static_cast<unsigned char>(bf16 & 0xff);
    result.high[code] = static_cast<unsigned char>(bf16 >> 8);
  }
  return result;
}();

// The lookup takes no notice of a code's sign, which is added afterwards.
inline Halves f8_to_bf16(Codes codes) {
  const auto half = [codes](const unsigned char(&bytes)[128]) {
    return _mm512_permutex2var_epi8(_mm512_load_si512(bytes), codes, _mm512_load_si512(bytes + 64));
  };
  const Codes sign = _mm512_and_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
  return {half(f8_table.low), _mm512_or_si512(half(f8_table.high), sign)};
}

}  // namespace
}  // namespace hearth::kernels::cpu
