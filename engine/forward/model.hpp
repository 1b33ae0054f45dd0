// A checkpoint's weights as the forward pass uses them: handles to matrices and vectors, loaded
// once and never changed. Names follow the checkpoint's tensors (shapes: [rows, cols]).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/checkpoint/safetensors.hpp"
#include "engine/experts/experts.hpp"
#include "engine/experts/store.hpp"
#include "engine/forward/load_progress.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// Gated full attention.
struct FullAttention {
  kernels::Matrix q_proj;  // [heads · 2 · head_dim, hidden]; per head: query, output gate
  kernels::Matrix k_proj;  // [kv_heads · head_dim, hidden]
  kernels::Matrix v_proj;  // [kv_heads · head_dim, hidden]
  kernels::Matrix o_proj;  // [hidden, heads · head_dim]
  kernels::Slice q_norm;   // [head_dim]
  kernels::Slice k_norm;   // [head_dim]
};

// What a DeltaNet makes of a hidden state first. H stands for the value heads.
enum class DeltaInput : std::uint8_t {
  qkv,  // [2·key_heads·key_dim + H·value_dim]: q of all key heads, then all k, then all v
  z,    // [H·value_dim]: the output gate
  b,    // [H]
  a,    // [H]
};

// A matrix whose products are some of these inputs. Families order its rows in their own ways: in
// groups that have the same parts each, and one after another in every group. A part's pieces lie
// next to each other in the input, from `offset` on.
struct DeltaProjection {
  struct Part {
    DeltaInput input;
    std::int64_t width = 0;  // of a group's piece
    std::int64_t offset = 0;
  };
  kernels::Matrix weight;  // [groups · the widths' sum, hidden]
  int groups = 1;
  std::vector<Part> parts;
};

// Gated DeltaNet.
struct LinearAttention {
  std::vector<DeltaProjection> in_proj;
  kernels::Slice conv1d;     // [2·key_heads·key_dim + value_heads·value_dim][kernel]
  kernels::Slice a_log;      // [value_heads]
  kernels::Slice dt_bias;    // [value_heads]
  kernels::Slice norm;       // [value_dim]
  kernels::Matrix out_proj;  // [hidden, value_heads · value_dim]
};

// Empty where the layer is dense.
struct MixtureOfExperts {
  kernels::Matrix gate;                // the router: [experts, hidden]
  kernels::Matrix shared_expert_gate;  // [1, hidden]
  ExpertWeights shared_expert;
};

struct Layer {
  LayerId id;
  LayerKind kind = LayerKind::full_attention;
  kernels::Slice input_layernorm;           // [hidden]
  kernels::Slice post_attention_layernorm;  // [hidden]
  FullAttention full;                       // one of the two, by kind
  LinearAttention linear;
  MixtureOfExperts moe;    // one of the two
  ExpertWeights mlp;       // [intermediate, hidden], down [hidden, intermediate]
  std::size_t device = 0;  // in whose memory they are, of the executor's: 0 the host's
  std::vector<kernels::Buffer> storage;  // what the handles above point into

  bool is_dense() const { return static_cast<bool>(mlp.gate); }
};

// The multi-token-prediction head; its layer's experts come after those of the last layer.
struct MtpHead {
  kernels::Matrix fc;  // [hidden, 2 · hidden]
  kernels::Slice pre_fc_norm_embedding;
  kernels::Slice pre_fc_norm_hidden;
  kernels::Slice norm;
  Layer layer;
};

struct Model {
  std::unique_ptr<const Tensors> tensors;  // the checkpoint's files, which experts are read from
  std::vector<kernels::Buffer> storage;    // what the handles below point into, but for layers'
  kernels::Matrix embed_tokens;            // [vocab, hidden]
  kernels::Matrix lm_head;                 // [vocab, hidden]; embed_tokens where tied
  kernels::Shortlist shortlist;            // of lm_head; empty: none
  kernels::Slice norm;                     // [hidden]
  std::vector<Layer> layers;
  std::optional<MtpHead> mtp;
  std::unique_ptr<const ExpertStore> store;
  std::vector<std::string> unused;  // tensors that no part of the model is made of, by name
  std::size_t skipped = 0;          // tensors of parts that are not run: the vision tower's
  std::uint64_t dense_digest = 0;   // of all tensors but the experts' weights
  std::uint64_t dense_bytes = 0;    // of everything that is always in memory, scales included
};

// Where the layers' weights go; all others are the host's.
struct LayerPlaces {
  std::vector<kernels::Backend*> devices;  // as the executor has them, the host first
  std::vector<std::size_t> device_of;      // by layer
};

// Reads every tensor that `config` calls for but the experts' weights, checks dtype and shape, and
// fills model.storage and model.store. model.tensors must be set. Throws Error naming the tensor.
// A device that has no room for one of its layers gets none of the next ones either: `places` says
// so afterwards.
void load_dense(Model& model, LayerPlaces& places, const ModelConfig& config, bool mtp,
                const std::function<void(const LoadProgress&)>& progress,
                const std::atomic<bool>* stop);
// Reads the layers that are elsewhere from the files again, each to its place; then it is where it
// was no more. `places` as above. After an error some have moved.
void move_layers(Model& model, LayerPlaces& places, const ModelConfig& config);

}  // namespace hearth::engine
