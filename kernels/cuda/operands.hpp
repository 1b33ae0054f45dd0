// From operands to addresses on one device: every check that keeps its operations inside their
// windows, and handles of other devices out.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/access.hpp"
#include "kernels/cpu/operands.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels::cuda {

using cpu::divide_up;
using cpu::require;

class Operands {
 public:
  explicit Operands(Device device) : device_(device) {}

  void require_here(Device device) const {
    require(device == device_, name(device_) + " was given a handle of " + name(device));
  }
  // The address of `count` values of an operand named `what`.
  float* at(const char* what, Slice slice, std::int64_t count) const {
    if (slice.size() != 0) require_here(slice.device());
    return cpu::at(what, slice, count);
  }
  // The same for `count` rows of `width` values.
  float* at(const char* what, const Rows& rows, std::int64_t count, std::int64_t width) const {
    if (rows.data.size() != 0) require_here(rows.data.device());
    return cpu::at(what, rows, count, width);
  }
  // The address of `bytes` bytes at an offset.
  std::byte* part(const Buffer& buffer, std::size_t offset, std::size_t bytes) const {
    require_here(buffer.device());
    return cpu::part(buffer, offset, bytes);
  }
  cpu::Weights weights(const Matrix& matrix) const {
    require(static_cast<bool>(matrix), "an empty matrix");
    require_here(matrix.device());
    return cpu::weights(matrix);
  }
  void kv(const KvCache& kv, const std::string& operation) const {
    cpu::require_kv(kv, operation);
    require_here(kv.keys.device());
    require_here(kv.values.device());
  }

 private:
  Device device_;
};

}  // namespace hearth::kernels::cuda
