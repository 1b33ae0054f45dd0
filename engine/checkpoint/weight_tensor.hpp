// A weight matrix among a checkpoint's tensors: found, and checked against what config.json calls
// for, before anything of it is read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/safetensors.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// How a checkpoint's weights are stored.
enum class WeightForm : std::uint8_t {
  fp8,       // FP8 with a scale for each block of 128 × 128
  fp8_rows,  // FP8 with a scale for each row, the recurrent layers and the MTP head in BF16
  bf16,
};

struct WeightTensor {
  const TensorInfo* data = nullptr;
  std::uint64_t offset = 0;            // of the matrix in its file, and its bytes: the tensor's, or
  std::uint64_t bytes = 0;             // a part of them
  const TensorInfo* scales = nullptr;  // of an f8_e4m3 weight
  kernels::ScaleForm scale_form = kernels::ScaleForm::blocks;
  kernels::DType type = kernels::DType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  std::size_t scale_count() const;  // values
};

// Whether a weight is quantised is told by its dtype, which must agree with the presence of its
// scales: NAME_scale_inv, of blocks, or NAME_scale as compressed-tensors writes it, of blocks, rows
// or the whole matrix. Throws Error naming the tensor.
WeightTensor require_weight(const Tensors& tensors, const std::string& name, std::int64_t rows,
                            std::int64_t cols);
// Rows [first, first + rows) of the matrix `index` in a tensor [count, all_rows, cols] of them,
// which is not quantised. Throws Error naming the tensor.
struct FusedShape {
  std::int64_t count = 0;
  std::int64_t all_rows = 0;
  std::int64_t cols = 0;
};
WeightTensor require_fused_weight(const Tensors& tensors, const std::string& name, FusedShape shape,
                                  std::int64_t index, std::int64_t first, std::int64_t rows);
// What the names of a weight's scales end in, behind the weight's own.
inline constexpr std::string_view block_scale_ending = "_scale_inv";
inline constexpr std::string_view scale_ending = "_scale";
// An f8_e4m3 weight's scales, row by row. Error where one is no number below 2^64: no published
// scale comes near it, and the kernels' definition ends at 2^99.
std::vector<float> read_scales(const Tensors& tensors, const TensorInfo& scales);
// A tensor of this very shape, or Error.
const TensorInfo& require_shape(const Tensors& tensors, const std::string& name,
                                std::span<const std::int64_t> shape);

}  // namespace hearth::engine
