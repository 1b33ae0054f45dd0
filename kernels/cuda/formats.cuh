// Weights as numbers: single ones from any address, and four neighbours at once where they are
// aligned.
#pragma once

#include "kernels/cpu/rows/table.hpp"
#include "kernels/cuda/thread.cuh"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cuda {

using cpu::Format;
using cpu::Weights;

template <int format>
inline constexpr int size_of_format = format == cpu::format_f32  ? 4
                                      : format == cpu::format_f8 ? 1
                                                                 : 2;

// A code as a number, exactly.
template <int format>
HEARTH_DEVICE float widen(std::uint32_t code) {
  if constexpr (format == cpu::format_f32) return std::bit_cast<float>(code);
  if constexpr (format == cpu::format_f16) return widen_f16(static_cast<std::uint16_t>(code));
  if constexpr (format == cpu::format_bf16) return widen_bf16(static_cast<std::uint16_t>(code));
  if constexpr (format == cpu::format_f8) return widen_f8(static_cast<std::uint8_t>(code));
}

// Element i of an array of any alignment.
template <int format>
HEARTH_DEVICE float weight(const void* data, std::int64_t i) {
  constexpr int size = size_of_format<format>;
  const auto* const from = static_cast<const std::uint8_t*>(data) + i * size;
  std::uint32_t code = 0;
  for (int byte = 0; byte < size; ++byte) code |= std::uint32_t{from[byte]} << (8 * byte);
  return widen<format>(code);
}

// Element i of an array whose address is a multiple of an element's size.
template <int format>
HEARTH_DEVICE float aligned_weight(const void* data, std::int64_t i) {
  constexpr int size = size_of_format<format>;
  const auto* const from = static_cast<const std::uint8_t*>(data) + i * size;
  if constexpr (size == 1) return widen<format>(*from);
  if constexpr (size == 2) return widen<format>(load<std::uint16_t>(from));
  if constexpr (size == 4) return widen<format>(load<std::uint32_t>(from));
}

// Four neighbours as they are in memory.
template <int format>
struct alignas(4 * size_of_format<format>) Four {
  std::uint32_t words[size_of_format<format>];
};

// What gemv() multiplies: for f8 the value times 2^-120, which takes a shift and a mask; table.hpp
// says why that loses nothing. A code that is NaN comes out as a number.
template <int format>
HEARTH_DEVICE float factor(const Four<format>& four, int i) {
  constexpr int size = size_of_format<format>;
  const std::uint32_t code = four.words[i * size / 4] >> (8 * (i * size % 4));
  if constexpr (format == cpu::format_f8)
    return std::bit_cast<float>((code & 0x80u) << 24 | (code & 0x7fu) << 20);
  return widen<format>(code);
}

// Whether one of four codes of f8 is NaN.
HEARTH_DEVICE bool has_nan(std::uint32_t codes) {
  return (((codes & 0x7f7f7f7fu) + 0x01010101u) & 0x80808080u) != 0;
}

// Four neighbours from any address, of which the first `count` are in the row; 0 for the others.
template <int format>
HEARTH_DEVICE Four<format> gather(const void* data, std::int64_t i, int count) {
  constexpr int size = size_of_format<format>;
  const auto* const from = static_cast<const std::uint8_t*>(data) + i * size;
  Four<format> four{};
  for (int byte = 0; byte < count * size; ++byte)
    four.words[byte / 4] |= std::uint32_t{from[byte]} << (8 * (byte % 4));
  return four;
}

}  // namespace hearth::kernels::cuda
