// The parts of a layer, which forward.cpp puts together: attention, DeltaNet and experts over rows
// of hidden states. Private to the forward pass.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "engine/forward/forward.hpp"

namespace hearth::engine {

// What every part needs beside its weights. T stands for rows, H for the hidden size.
struct Block {
  const ModelConfig& config;
  kernels::Backend& backend;
  Workspace& space;
  kernels::ProductForm form;
  int rows;
  std::int64_t position;  // of the first row

  std::size_t hidden() const { return static_cast<std::size_t>(config.hidden_size); }
  kernels::Slice take(std::int64_t width) const {  // [T][width]
    return space.take(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width));
  }
  kernels::Slice norm(kernels::Slice x, kernels::Slice weight) const {  // [T][H], zero-centred
    const kernels::Slice out = take(config.hidden_size);
    const kernels::Rows from{x, config.hidden_size};
    backend.rms_norm(from, weight, kernels::Rows{out, config.hidden_size}, rows,
                     static_cast<int>(config.hidden_size), config.rms_norm_eps);
    return out;
  }
  void matmul(std::initializer_list<kernels::MatMul> products) const {
    backend.matmul(std::span(products.begin(), products.size()), form);
  }
};

// [T][H] → [T][H]: queries with an output gate, q and k normed per head, RoPE on part of a head.
// Writes the rows' keys and values.
kernels::Slice full_attention(const Block& block, const FullAttention& weights,
                              kernels::KvCache& kv, kernels::Slice x);

// The recurrent state before and after rows [begin, end) of a block, of one layer.
struct RowSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
  const kernels::Buffer* delta_in = nullptr;
  const kernels::Buffer* conv_in = nullptr;
  const kernels::Buffer* delta_out = nullptr;
  const kernels::Buffer* conv_out = nullptr;
};

// [T][H] → [T][H]: Gated DeltaNet.
kernels::Slice linear_attention(const Block& block, const LinearAttention& weights,
                                std::span<const RowSpan> spans, kernels::DeltaForm form,
                                kernels::Slice x);

// Which experts the router picks for x [T][H].
Routing route(const Block& block, const kernels::Matrix& router, kernels::Slice x);

// A layer's second half: out = x + experts(norm(x)), or mlp(norm(x)) where it is dense. Goes on
// with `work` where it was interrupted; false: interrupted.
bool feed_forward(const Block& block, Executor& executor, const Layer& layer, ExpertWork& work,
                  kernels::Slice x, kernels::Slice out, const std::atomic<bool>* interrupt,
                  Taps* taps);

}  // namespace hearth::engine
