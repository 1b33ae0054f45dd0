// Finds a weight matrix and checks its type, shape and scales.
#include "engine/checkpoint/weight_tensor.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace hearth::engine {

namespace {

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

std::optional<kernels::DType> weight_type(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return kernels::DType::f32;
    case TensorType::f16:
      return kernels::DType::f16;
    case TensorType::bf16:
      return kernels::DType::bf16;
    case TensorType::f8_e4m3:
      return kernels::DType::f8_e4m3;
    default:
      return std::nullopt;
  }
}

std::int64_t blocks_of(std::int64_t size) {
  return (size + kernels::Matrix::block - 1) / kernels::Matrix::block;
}

}  // namespace

std::size_t WeightTensor::scale_count() const {
  return scales == nullptr ? 0 : static_cast<std::size_t>(blocks_of(rows) * blocks_of(cols));
}

const TensorInfo& require_shape(const Tensors& tensors, const std::string& name,
                                std::span<const std::int64_t> shape) {
  const TensorInfo& tensor = tensors.require(name);
  if (!std::ranges::equal(tensor.shape, shape)) {
    throw Error("tensor " + name + " has shape " + shape_text(tensor.shape) +
                "; config.json calls for " + shape_text(shape));
  }
  return tensor;
}

WeightTensor require_weight(const Tensors& tensors, const std::string& name, std::int64_t rows,
                            std::int64_t cols) {
  const TensorInfo& tensor = require_shape(tensors, name, std::array{rows, cols});
  const std::optional<kernels::DType> type = weight_type(tensor.type);
  if (!type) {
    throw Error("tensor " + name + " has dtype " + std::string(engine::name(tensor.type)) +
                "; a weight must be F32, F16, BF16 or F8_E4M3");
  }
  const std::string scale_name = name + "_scale_inv";
  const bool quantised = *type == kernels::DType::f8_e4m3;
  if (quantised != (tensors.find(scale_name) != nullptr)) {
    throw Error("tensor " + name +
                (quantised ? " is F8_E4M3 but " + scale_name + " is missing"
                           : " is not F8_E4M3 but " + scale_name + " is present"));
  }
  WeightTensor weight{&tensor, nullptr, *type, rows, cols};
  if (quantised) {
    weight.scales =
        &require_shape(tensors, scale_name, std::array{blocks_of(rows), blocks_of(cols)});
  }
  return weight;
}

std::vector<float> read_scales(const Tensors& tensors, const TensorInfo& scales) {
  std::vector<float> values = tensors.read_f32(scales);
  // Written so that NaN is refused too.
  const auto wrong =
      std::ranges::find_if(values, [](float scale) { return !(std::fabs(scale) < 0x1p64f); });
  if (wrong != values.end()) {
    throw Error("tensor " + scales.name + " holds the scale " + std::to_string(*wrong) +
                "; a scale must be a number below 2^64. The file may be damaged: fetch it again");
  }
  return values;
}

}  // namespace hearth::engine
