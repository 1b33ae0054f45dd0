// Codes distributed as a model's weights are, for benchmarks: what a product costs may depend on
// them.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/ops.hpp"

namespace hearth::bench {

// Values with a normal distribution, nearly: sums of twelve uniform ones.
class Normal {
 public:
  float next() {
    float sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(number() >> 8) * 0x1p-24f;
    return sum;
  }
  std::uint32_t number() { return seed_ = seed_ * 1664525u + 1013904223u; }

 private:
  std::uint32_t seed_ = 1;
};

// The F8 code next to a value of at most 448.
inline std::uint8_t f8_code(float x) {
  constexpr int subnormals = 8;
  const float size = std::abs(x);
  const int exponent = std::max(-6, size > 0 ? std::ilogb(size) : -6);
  // Steps of 2^(exponent - 3); one that carries is the next exponent's first.
  const auto steps = static_cast<int>(std::lrint(std::ldexp(size, 3 - exponent)));
  const int code = (exponent + 6) * subnormals + steps;
  return static_cast<std::uint8_t>((x < 0 ? 0x80 : 0) | code);
}

inline bool subnormal(std::byte code) {
  const auto magnitude = std::to_integer<unsigned>(code) & 0x7fu;
  return magnitude > 0 && magnitude < 8;
}

// Codes of a model's weights, 2^20 of them. `share`: that of subnormal F8 codes; negative: as they
// come.
inline std::vector<std::byte> model_codes(kernels::DType type, double share) {
  constexpr std::size_t count = std::size_t{1} << 20, block = std::size_t{128} * 128;
  std::vector<std::byte> codes(count * kernels::size_of(type));
  Normal normal;
  std::vector<float> values(block);
  for (std::size_t begin = 0; begin < count; begin += block) {
    float max = 0;
    for (float& value : values) max = std::max(max, std::abs(value = normal.next()));
    for (std::size_t i = 0; i < block; ++i) {
      std::byte* const to = codes.data() + (begin + i) * kernels::size_of(type);
      const float value = values[i] * 0.02f;
      if (type == kernels::DType::f8_e4m3) *to = std::byte{f8_code(values[i] * 448 / max)};
      if (type == kernels::DType::f32) std::memcpy(to, &value, 4);
      if (type == kernels::DType::bf16)
        std::memcpy(to, reinterpret_cast<const char*>(&value) + 2, 2);
      if (type == kernels::DType::f16) {
        // Rounded towards zero; none is subnormal in F32's sense.
        const auto bits = std::bit_cast<std::uint32_t>(value * 0x1p-112f);
        const auto code =
            static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | (bits >> 13 & 0x7fffu));
        std::memcpy(to, &code, 2);
      }
    }
  }
  if (type != kernels::DType::f8_e4m3 || share < 0) return codes;
  for (std::byte& code : codes)
    if (subnormal(code)) code |= std::byte{0x08};
  for (double i = 0; i < share * static_cast<double>(count); ++i)
    codes[normal.number() >> 12] = std::byte{0x83};
  return codes;
}

}  // namespace hearth::bench
