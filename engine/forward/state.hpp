// What a sequence has become: KV of the attention layers, and the recurrent states of the DeltaNet
// layers, which cannot be rewound and are therefore never written in place.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// How the attention layers keep keys and values.
enum class KvType : std::uint8_t { f32, f16 };

// The DeltaNet layers' memory after some position, one entry per linear layer in order.
struct RecurrentState {
  std::vector<kernels::Buffer> delta;  // [value_heads][key_dim][value_dim]
  std::vector<kernels::Buffer> conv;   // [kernel-1][channels]: the last inputs, oldest first

  std::size_t bytes() const;
};
// Bytes of one linear layer's entries.
struct RecurrentShape {
  std::size_t delta_bytes = 0;
  std::size_t conv_bytes = 0;
};
RecurrentShape recurrent_shape(const ModelConfig& config);
// Whose memory a sequence's state is in: each layer's is where its weights are.
struct StateHomes {
  std::vector<kernels::Backend*> kv;      // one per cache, as State has them
  std::vector<kernels::Backend*> linear;  // one per linear layer in order
};
RecurrentState make_recurrent_state(const StateHomes& homes, const ModelConfig& config);

// What a chunk's rows take on one device: T rows of H values, or of more in all; a buffer is there
// once it was needed.
struct RowBuffers {
  kernels::Buffer hidden;   // [T][H]: what the next stage reads
  kernels::Buffer output;   // [T][H]: what it writes
  kernels::Buffer normed;   // [T][H]: what a layer's experts see
  kernels::Buffer shared;   // [T][H]: the shared expert's output, then its gate [T]
  kernels::Buffer outputs;  // [T][k][H]: the experts'

  std::size_t bytes() const;
};
using ChunkMemory = std::vector<RowBuffers>;  // by device

struct State {
  std::vector<kernels::KvCache> kv;    // one per full-attention layer in order, then the MTP head's
  RecurrentState recurrent;            // after the session's tokens
  std::vector<RecurrentState> spares;  // memory for the next ones: decoding allocates none,
  ChunkMemory rows;                    // nor for its rows
  // After each token of the last decode but the last, to take the others back.
  struct Decoded {
    RecurrentState recurrent;
    std::vector<float> hidden;
  };
  std::vector<Decoded> decoded;
  std::vector<float> hidden;  // [hidden] after the final norm: what the MTP head continues from;
                              // empty at position 0
};

// Memory for a recurrent state, of undefined content where a spare one was left.
RecurrentState take_spare(State& state, const StateHomes& homes, const ModelConfig& config);

// Makes room for `positions` in caches, or in one, that hold `valid` of them.
void reserve(const StateHomes& homes, State& state, std::int64_t valid, std::int64_t positions);
void reserve(kernels::Backend& backend, kernels::KvCache& kv, std::int64_t valid,
             std::int64_t positions);
// Bytes of the keys (or of the values) of `positions`.
std::size_t kv_bytes(const kernels::KvCache& kv, std::int64_t positions);

}  // namespace hearth::engine
