// From operands to addresses: every check that keeps the CPU's operations inside their windows; and
// how an operation is cut into pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/access.hpp"
#include "kernels/cpu/rows/table.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels::cpu {

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// How many of `count` items, each of `work` multiply-adds, make a piece of `max` at most. Little
// work is one piece: waking another thread would cost more than it saves.
inline std::int64_t share(std::int64_t count, std::int64_t work, std::int64_t max, int threads) {
  constexpr std::int64_t inline_work = 32768;
  if (count * work <= inline_work) return count > 1 ? count : 1;
  const std::int64_t bounded = max / (work > 1 ? work : 1);
  const std::int64_t even = divide_up(count, 4 * std::int64_t{threads});
  const std::int64_t items = bounded < even ? bounded : even;
  return items > 1 ? items : 1;
}

inline Format format(DType type) {
  return static_cast<Format>(type);
}
static_assert(static_cast<Format>(DType::f32) == format_f32 &&
              static_cast<Format>(DType::f16) == format_f16 &&
              static_cast<Format>(DType::bf16) == format_bf16 &&
              static_cast<Format>(DType::f8_e4m3) == format_f8);

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
              " are outside a buffer of " + std::to_string(buffer.bytes()));
  return Access::data(buffer) + offset;
}

inline Weights weights(const Matrix& m) {
  require(static_cast<bool>(m), "an empty matrix");
  Weights result{.data = Access::data(m),
                 .cols = m.cols(),
                 .stride = m.cols(),
                 .scales = Access::data(Access::scales(m)),
                 .scale_stride = divide_up(m.cols(), scale_block)};
  switch (Access::scale_form(m)) {
    case ScaleForm::blocks:
      break;
    case ScaleForm::rows:
      result.scale_shift = 0;
      result.scale_stride = 1;
      result.scale_step = 0;
      break;
    case ScaleForm::whole:
      result.scale_stride = 0;
      result.scale_step = 0;
      break;
  }
  return result;
}

inline void require_kv(const KvCache& kv, const std::string& operation) {
  require(kv.type == DType::f32 || kv.type == DType::f16,
          operation + ": keys and values are kept in F32 or F16");
  require(kv.heads >= 1 && kv.head_dim >= 1 && kv.capacity >= 0, operation + ": no heads");
  const auto bytes = static_cast<std::size_t>(kv.capacity) * static_cast<std::size_t>(kv.heads) *
                     static_cast<std::size_t>(kv.head_dim) * size_of(kv.type);
  require(kv.keys.bytes() >= bytes && kv.values.bytes() >= bytes,
          operation + ": buffers smaller than the cache's capacity");
}

constexpr const char* unfit_for_f16 =
    "a key or value of the attention is beyond ±65504 or not a number, which F16 cannot hold; use "
    "kv "
    "= \"f32\"";

inline void require_delta(const DeltaRule& a) {
  require(
      a.rows >= 1 && a.first_position >= 0 && a.key_heads >= 1 && a.value_heads % a.key_heads == 0,
      "delta_rule: no rows, or value heads that do not divide among the key heads");
}

// Rows until the end of the segment of the sequence that contains `row`.
inline int until_segment_end(const DeltaRule& a, int row) {
  return delta_segment - static_cast<int>((a.first_position + row) % delta_segment);
}

}  // namespace hearth::kernels::cpu
