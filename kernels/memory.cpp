// Handles: windows on buffers and the checks that keep a window inside its buffer. Allocation
// belongs to the backends, addresses to access.hpp.
#include <string>

#include "kernels/access.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels {
namespace {

// Whether [offset, offset + count) is in [0, size), with no overflow on the way.
bool inside(std::size_t offset, std::size_t count, std::size_t size) {
  return offset <= size && count <= size - offset;
}

std::string range(std::size_t offset, std::size_t count) {
  return "[" + std::to_string(offset) + ", +" + std::to_string(count) + ")";
}

std::int64_t blocks(std::int64_t n) {
  return (n + Matrix::block - 1) / Matrix::block;
}

}  // namespace

std::string name(Device device) {
  if (device.kind == Device::Kind::host) return "host";
  return "cuda " + std::to_string(device.index);
}

Slice Slice::sub(std::size_t offset, std::size_t count) const {
  if (!inside(offset, count, size_))
    throw Error("a window of values " + range(offset, count) + " is outside one of " +
                std::to_string(size_));
  Slice result = *this;
  result.data_ += offset;
  result.size_ = count;
  return result;
}

Slice slice(const Buffer& buffer) {
  return slice(buffer, 0, buffer.bytes() / sizeof(float));
}

Slice slice(const Buffer& buffer, std::size_t byte_offset, std::size_t count) {
  if (byte_offset % sizeof(float) != 0)
    throw Error("a window of F32 values cannot begin at byte " + std::to_string(byte_offset));
  if (count > buffer.bytes() / sizeof(float) ||
      !inside(byte_offset, count * sizeof(float), buffer.bytes()))
    throw Error("a window of " + std::to_string(count) + " F32 values at byte " +
                std::to_string(byte_offset) + " is outside a buffer of " +
                std::to_string(buffer.bytes()) + " bytes");
  auto* const first = reinterpret_cast<float*>(Access::data(buffer) + byte_offset);
  return Access::slice(buffer.device(), first, count);
}

std::int64_t scale_count(ScaleForm form, std::int64_t rows, std::int64_t cols) {
  switch (form) {
    case ScaleForm::blocks:
      return blocks(rows) * blocks(cols);
    case ScaleForm::rows:
      return rows;
    case ScaleForm::whole:
      return 1;
  }
  return 0;
}

Matrix::Matrix(const Buffer& storage, std::size_t byte_offset, DType type, std::int64_t rows,
               std::int64_t cols, Slice scales, ScaleForm scale_form)
    : device_(storage.device()),
      type_(type),
      rows_(rows),
      cols_(cols),
      scales_(scales),
      scale_form_(scale_form) {
  if (rows <= 0 || cols <= 0)
    throw Error("a matrix of " + std::to_string(rows) + " × " + std::to_string(cols) +
                " has no elements");
  const auto row_bytes = static_cast<std::size_t>(cols) * size_of(type);
  if (row_bytes / size_of(type) != static_cast<std::size_t>(cols) ||
      static_cast<std::size_t>(rows) > storage.bytes() / row_bytes ||
      !inside(byte_offset, static_cast<std::size_t>(rows) * row_bytes, storage.bytes()))
    throw Error("a matrix of " + std::to_string(rows) + " × " + std::to_string(cols) + " at byte " +
                std::to_string(byte_offset) + " is outside a buffer of " +
                std::to_string(storage.bytes()) + " bytes");
  if (type == DType::f8_e4m3) {
    const auto needed = static_cast<std::size_t>(scale_count(scale_form, rows, cols));
    if (scales.size() != needed || scales.device() != device_)
      throw Error("an f8_e4m3 matrix of " + std::to_string(rows) + " × " + std::to_string(cols) +
                  " needs " + std::to_string(needed) + " scales beside it, not " +
                  std::to_string(scales.size()));
  }
  data_ = Access::data(storage) + byte_offset;
}

}  // namespace hearth::kernels
