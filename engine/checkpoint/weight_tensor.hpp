// A weight matrix among a checkpoint's tensors: found, and checked against what config.json calls
// for, before anything of it is read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/checkpoint/safetensors.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

struct WeightTensor {
  const TensorInfo* data = nullptr;
  const TensorInfo* scales = nullptr;  // of an f8_e4m3 weight: [ceil(rows/128), ceil(cols/128)]
  kernels::DType type = kernels::DType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  std::size_t scale_count() const;  // values
};

// Whether a weight is quantised is told by its dtype, which must agree with the presence of its
// scales. Throws Error naming the tensor.
WeightTensor require_weight(const Tensors& tensors, const std::string& name, std::int64_t rows,
                            std::int64_t cols);
// An f8_e4m3 weight's scales, row by row. Error where one is no number below 2^64: no published
// scale comes near it, and the kernels' definition ends at 2^99.
std::vector<float> read_scales(const Tensors& tensors, const TensorInfo& scales);
// A tensor of this very shape, or Error.
const TensorInfo& require_shape(const Tensors& tensors, const std::string& name,
                                std::span<const std::int64_t> shape);

}  // namespace hearth::engine
