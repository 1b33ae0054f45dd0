// The way from a handle to its address. Only kernels/ includes this file.
#pragma once

#include <cstddef>

#include "kernels/ops.hpp"

namespace hearth::kernels {

struct Access {
  using Deleter = void (*)(std::byte*);

  static Buffer buffer(Device device, std::byte* data, std::size_t bytes, Deleter deleter) {
    Buffer result;
    result.device_ = device;
    result.bytes_ = bytes;
    result.storage_ = {data, deleter};
    return result;
  }
  // Its bytes are the caller's to end.
  static std::byte* take(Buffer buffer) { return buffer.storage_.release(); }
  // Whether it ends so.
  static bool ends_by(const Buffer& buffer, Deleter deleter) {
    return buffer.storage_.get_deleter() == deleter;
  }
  static Slice slice(Device device, float* data, std::size_t size) {
    Slice result;
    result.device_ = device;
    result.data_ = data;
    result.size_ = size;
    return result;
  }
  static std::byte* data(const Buffer& buffer) { return buffer.storage_.get(); }
  static float* data(Slice slice) { return slice.data_; }
  static const std::byte* data(const Matrix& matrix) { return matrix.data_; }
  static Slice scales(const Matrix& matrix) { return matrix.scales_; }
  static ScaleForm scale_form(const Matrix& matrix) { return matrix.scale_form_; }
};

}  // namespace hearth::kernels
