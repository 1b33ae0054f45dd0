// One of AMX's tiles in plain code, and the product of two of them: TDPBF16PS as the processor's
// manual describes it.
#pragma once

#include <cstdint>

namespace hearth::kernels::test {

struct Tile {
  int rows = 0;
  alignas(64) unsigned char bytes[16][64] = {};
};

// Subnormal operands and results count as zero.
constexpr std::uint32_t flushed(std::uint32_t bits) {
  return (bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits;
}
constexpr float flushed(float x) {
  return __builtin_bit_cast(float, flushed(__builtin_bit_cast(std::uint32_t, x)));
}

void multiply_add(Tile& sums, const Tile& left, const Tile& right);

}  // namespace hearth::kernels::test
