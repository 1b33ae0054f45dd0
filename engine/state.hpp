// What a sequence has become: KV of the attention layers, and the recurrent states of the DeltaNet
// layers, which cannot be rewound and are therefore never written in place.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/config.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// The DeltaNet layers' memory after some position, one entry per linear layer in order.
struct RecurrentState {
  std::vector<kernels::Buffer> delta;  // [value_heads][key_dim][value_dim]
  std::vector<kernels::Buffer> conv;   // [kernel-1][channels]: the last inputs, oldest first

  std::size_t bytes() const;
};
RecurrentState make_recurrent_state(kernels::Backend& backend, const Config& config);
RecurrentState copy(kernels::Backend& backend, const RecurrentState& state);

// A place in the sequence to come back to. The KV before it stays in the session's cache.
struct Checkpoint {
  std::int64_t position = 0;
  RecurrentState recurrent;
  std::vector<float> hidden;  // [hidden], after the final norm: what the MTP head continues from
  std::vector<float> logits;  // [vocab]; empty where none were computed
  std::uint64_t used = 0;     // when it last served, to drop the oldest
};

struct State {
  std::vector<kernels::KvCache> kv;  // one per full-attention layer in order, then the MTP head's
  RecurrentState recurrent;          // after the session's tokens
  RecurrentState spare;              // memory for the next one: decoding allocates none
  std::vector<float> hidden;         // as in Checkpoint; empty at position 0
  std::vector<Checkpoint> checkpoints;  // by rising position, each ≤ the session's
  std::uint64_t clock = 0;              // of Checkpoint::used
};

// Makes room for `positions` in a cache that holds `valid` of them.
void reserve(kernels::Backend& backend, kernels::KvCache& kv, std::int64_t valid,
             std::int64_t positions);
// Bytes of the keys (or of the values) of `positions`.
std::size_t kv_bytes(const kernels::KvCache& kv, std::int64_t positions);

}  // namespace hearth::engine
