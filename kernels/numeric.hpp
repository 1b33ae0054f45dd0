// The scalar formulas that every ISA and device repeats bit for bit: number formats and exp.
// A vector version must do the same operations in the same order. Owns no loops over tensors.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "kernels/exp_constants.hpp"
#include "kernels/host_device.hpp"

namespace hearth::kernels {

// --- Number formats, widened exactly -------------------------------------------------------------

HEARTH_HOST_DEVICE constexpr float widen_bf16(std::uint16_t code) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16);
}

// A signalling NaN comes out quiet, as the processors' conversion makes it.
HEARTH_HOST_DEVICE constexpr float widen_f16(std::uint16_t code) {
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x8000u) << 16;
  const std::uint32_t exponent = (code >> 10) & 0x1fu;
  const std::uint32_t fraction = code & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  if (exponent == 0x1f) {
    const std::uint32_t quiet = fraction != 0 ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | (fraction << 13));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

// e4m3: no infinities, 0x7f and 0xff are NaN, the largest finite value is 448.
HEARTH_HOST_DEVICE constexpr float widen_f8(std::uint8_t code) {
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80u) << 24;
  const std::uint32_t exponent = (code >> 3) & 0xfu;
  const std::uint32_t fraction = code & 0x7u;
  if ((code & 0x7fu) == 0x7fu) return std::bit_cast<float>(sign | 0x7fc00000u);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-9f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 120) << 23) | (fraction << 20));
}

// --- Narrowing to f16 ----------------------------------------------------------------------------

constexpr float f16_max = 65504;

// Whether f16 can hold the value, rounded; false for NaN and the infinities.
HEARTH_HOST_DEVICE constexpr bool fits_f16(float value) {
  return value >= -f16_max && value <= f16_max;
}

// To nearest, ties to even. The value must fit.
HEARTH_HOST_DEVICE constexpr std::uint16_t narrow_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x38800000u) {  // below the smallest normal f16: a multiple of 2^-24
    // Adding 0.5 puts the last bit of a float at 2^-24, so the addition does the rounding.
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(rounded) - 0x3f000000u));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  const std::uint32_t rounded = magnitude - (112u << 23) + 0xfffu + odd;
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

// --- exp and what is made of it ------------------------------------------------------------------

// Right to 1 ulp; 0 from -104 down, infinity above the largest float, NaN for NaN.
HEARTH_HOST_DEVICE inline float exp_f32(float x) {
  x = exp_constants::lowest > x ? exp_constants::lowest : x;
  x = exp_constants::highest < x ? exp_constants::highest : x;
  const float shifted = std::fma(x, exp_constants::log2_e, exp_constants::magic);
  const float n = shifted - exp_constants::magic;
  float r = std::fma(n, -exp_constants::ln2_high, x);
  r = std::fma(n, -exp_constants::ln2_low, r);
  float p = std::fma(exp_constants::c7, r, exp_constants::c6);
  p = std::fma(p, r, exp_constants::c5);
  p = std::fma(p, r, exp_constants::c4);
  p = std::fma(p, r, exp_constants::c3);
  p = std::fma(p, r, exp_constants::c2);
  p = std::fma(p, r, 1.0f);
  p = std::fma(p, r, 1.0f);
  // 2^n as two factors, since neither 2^128 nor 2^-150 is a float.
  const std::uint32_t power =
      std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(exp_constants::magic);
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(power) >> 1);
  const float first = std::bit_cast<float>((half + 127u) << 23);
  const float second = std::bit_cast<float>((power - half + 127u) << 23);
  return p * first * second;
}

HEARTH_HOST_DEVICE inline float sigmoid(float x) {
  return 1.0f / (1.0f + exp_f32(-x));
}

HEARTH_HOST_DEVICE inline float silu(float x) {
  return x / (1.0f + exp_f32(-x));
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), and log1p(u) = 2 atanh(u / (2 + u)) by its series,
// which is short because u / (2 + u) ≤ 1/3.
HEARTH_HOST_DEVICE inline float softplus(float x) {
  const float u = exp_f32(-std::fabs(x));
  const float s = u / (2.0f + u);
  const float square = s * s;
  float p = std::fma(1.0f / 17, square, 1.0f / 15);
  for (const float c : {1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3, 1.0f})
    p = std::fma(p, square, c);
  return (x > 0 ? x : 0.0f) + 2.0f * s * p;
}

}  // namespace hearth::kernels
