// From operands to addresses: every check that keeps the CPU's operations inside their windows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/access.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels::cpu {

inline void require(bool condition, const std::string& what) {
  if (!condition) throw Error(what);
}

// The address of `count` values of an operand named `what`.
inline float* at(const char* what, Slice slice, std::int64_t count) {
  require(count >= 0 && slice.size() >= static_cast<std::size_t>(count),
          std::string(what) + " holds " + std::to_string(slice.size()) + " values, " +
              std::to_string(count) + " are needed");
  return Access::data(slice);
}

// The same for `count` rows of `width` values.
inline float* at(const char* what, const Rows& rows, std::int64_t count, std::int64_t width) {
  require(rows.stride >= width, std::string(what) + " has rows of " + std::to_string(width) +
                                    " values every " + std::to_string(rows.stride));
  return at(what, rows.data, count == 0 ? 0 : (count - 1) * rows.stride + width);
}

inline void require_indices(const char* what, std::span<const std::int32_t> indices,
                            std::int64_t limit) {
  for (const std::int32_t i : indices)
    require(i >= 0 && i < limit, std::string(what) + ": index " + std::to_string(i) +
                                     " is outside [0, " + std::to_string(limit) + ")");
}

// The address of `bytes` bytes at an offset.
inline std::byte* part(const Buffer& buffer, std::size_t offset, std::size_t bytes) {
  require(offset <= buffer.bytes() && bytes <= buffer.bytes() - offset,
          std::to_string(bytes) + " bytes at " + std::to_string(offset) +
              " lie outside a buffer of " + std::to_string(buffer.bytes()));
  return Access::data(buffer) + offset;
}

}  // namespace hearth::kernels::cpu
