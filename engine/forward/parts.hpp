// The parts of a layer, which forward.cpp puts together: attention, DeltaNet and experts over rows
// of hidden states. Private to the forward pass.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "engine/forward/forward.hpp"

namespace hearth::engine {

// Rows that a layer's mixer takes at once: bounds its scratch and what an interruption loses. A
// multiple of the delta rule's chunk.
constexpr std::size_t mixer_rows = 256;
// The same of a group of experts, counted once per expert.
constexpr std::size_t expert_rows = 1024;

// The host looks at nobody's interrupt any more, however a computation ends.
struct Finish {
  kernels::Backend& host;
  ~Finish() { host.finish(); }
};

inline std::vector<float> read(kernels::Backend& backend, kernels::Slice values) {
  std::vector<float> host(values.size());
  backend.read(values, host);
  return host;
}

// What every part needs beside its weights. T stands for rows, H for the hidden size.
struct Block {
  const ModelConfig& config;
  kernels::Backend& backend;
  Workspace& space;
  kernels::ProductForm form;
  int rows;
  std::int64_t position;   // of the first row
  std::size_t device = 0;  // of the executor's: the backend's
  bool at_once = false;    // see Chunk

  // Whether what was begun runs to its end. Of a chunk that is computed at once a device may still
  // be at it: what follows there is queued behind it, and its last wait says the same.
  bool settle() const { return waits() ? backend.finish() : true; }
  bool waits() const { return device == 0 || !at_once; }
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

// Rows [rows][H] through one expert.
struct ExpertRows {
  const ExpertWeights* weights = nullptr;
  kernels::Slice x;
  kernels::Slice out;
  int rows = 0;
};
// out = down(silu(gate(x)) · up(x)), of all in three steps.
void gated_mlps(const Block& block, std::span<const ExpertRows> all);

// A layer's mixture of experts over a chunk's rows; the block is that of the layer's device.
struct MoeStep {
  const Block& block;
  Executor& executor;
  ExpertWork& work;
  ChunkMemory& memory;
  const std::atomic<bool>* interrupt;

  std::size_t values() const {  // of [T][H]
    return static_cast<std::size_t>(block.rows) * block.hidden();
  }
  kernels::Slice normed(std::size_t device) const {
    return kernels::slice(memory[device].normed, 0, values());
  }
  kernels::Slice outputs() const {
    const auto k = static_cast<std::size_t>(block.config.num_experts_per_tok);
    return kernels::slice(memory[block.device].outputs, 0, k * values());
  }
};
// Where each expert's outputs go in [T][k], in order of rows; by expert.
using Places = std::vector<std::vector<std::int32_t>>;
// The experts, as they become ready, each on the device that has it. False: interrupted.
bool compute_leased_experts(const MoeStep& step, const Places& places, Leases& leases);

// A layer's second half: out = x + experts(norm(x)), or mlp(norm(x)) where it is dense. Goes on
// with `work` where it was interrupted; false: interrupted.
bool feed_forward(const Block& block, Executor& executor, const Layer& layer, ExpertWork& work,
                  ChunkMemory& memory, kernels::Slice x, kernels::Slice out,
                  const std::atomic<bool>* interrupt, Taps* taps);

}  // namespace hearth::engine
