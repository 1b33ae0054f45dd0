// Finds a weight matrix and checks its type, shape and scales.
#include "engine/checkpoint/weight_tensor.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
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

kernels::DType require_weight_type(const TensorInfo& tensor) {
  const std::optional<kernels::DType> type = weight_type(tensor.type);
  if (type) return *type;
  throw Error("tensor " + tensor.name + " has dtype " + std::string(engine::name(tensor.type)) +
              "; a weight must be F32, F16, BF16 or F8_E4M3");
}

// As compressed-tensors writes them. A block's scales come first: they are more, unless the two are
// the same.
kernels::ScaleForm scale_form_of(const TensorInfo& scales, std::int64_t rows, std::int64_t cols) {
  using kernels::ScaleForm;
  const auto is = [&](std::initializer_list<std::int64_t> shape) {
    return std::ranges::equal(scales.shape, shape);
  };
  if (is({blocks_of(rows), blocks_of(cols)})) return ScaleForm::blocks;
  if (is({rows, 1})) return ScaleForm::rows;
  if (is({1})) return ScaleForm::whole;
  throw Error("tensor " + scales.name + " has shape " + shape_text(scales.shape) +
              "; expected a scale for each row, " + shape_text(std::array{rows, std::int64_t{1}}) +
              ", for each block of 128 × 128, " +
              shape_text(std::array{blocks_of(rows), blocks_of(cols)}) + ", or one, [1]");
}

// Which scales an F8 weight has; that others have none.
void take_scales(const Tensors& tensors, WeightTensor& weight) {
  const std::string& name = weight.data->name;
  const TensorInfo* const of_blocks = tensors.find(name + std::string(block_scale_ending));
  const TensorInfo* const of_any = tensors.find(name + std::string(scale_ending));
  if (weight.type != kernels::DType::f8_e4m3) {
    const TensorInfo* const there = of_blocks != nullptr ? of_blocks : of_any;
    if (there == nullptr) return;
    throw Error("tensor " + name + " is not F8_E4M3 but " + there->name + " is present");
  }
  if (of_blocks != nullptr && of_any != nullptr) {
    throw Error("tensor " + name + " has two kinds of scales, " + of_blocks->name + " and " +
                of_any->name);
  }
  if (of_any != nullptr) {
    weight.scales = of_any;
    weight.scale_form = scale_form_of(*of_any, weight.rows, weight.cols);
    return;
  }
  if (of_blocks == nullptr) {
    throw Error("tensor " + name + " is F8_E4M3 but " + name + std::string(block_scale_ending) +
                " is missing");
  }
  weight.scales = &require_shape(tensors, of_blocks->name,
                                 std::array{blocks_of(weight.rows), blocks_of(weight.cols)});
}

}  // namespace

std::size_t WeightTensor::scale_count() const {
  if (scales == nullptr) return 0;
  return static_cast<std::size_t>(kernels::scale_count(scale_form, rows, cols));
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
  WeightTensor weight;
  weight.data = &tensor;
  weight.offset = tensor.offset;
  weight.bytes = tensor.bytes;
  weight.type = require_weight_type(tensor);
  weight.rows = rows;
  weight.cols = cols;
  take_scales(tensors, weight);
  return weight;
}

WeightTensor require_fused_weight(const Tensors& tensors, const std::string& name, FusedShape shape,
                                  std::int64_t index, std::int64_t first, std::int64_t rows) {
  const TensorInfo& tensor =
      require_shape(tensors, name, std::array{shape.count, shape.all_rows, shape.cols});
  WeightTensor weight;
  weight.data = &tensor;
  weight.type = require_weight_type(tensor);
  if (weight.type == kernels::DType::f8_e4m3) {
    throw Error("tensor " + name +
                " is F8_E4M3; experts that are fused in one tensor must be BF16");
  }
  const auto row_bytes = static_cast<std::uint64_t>(shape.cols) * kernels::size_of(weight.type);
  weight.offset =
      tensor.offset + static_cast<std::uint64_t>(index * shape.all_rows + first) * row_bytes;
  weight.bytes = static_cast<std::uint64_t>(rows) * row_bytes;
  weight.rows = rows;
  weight.cols = shape.cols;
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
