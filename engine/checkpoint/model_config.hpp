// config.json and generation_config.json of a checkpoint, read and checked. Every shape of the
// model comes from here; nothing of it is a constant of the program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/support/types.hpp"

namespace hearth::engine {

enum class LayerKind : std::uint8_t { full_attention, linear_attention };

// How the rows of a DeltaNet's input projections lie in the files.
enum class DeltaLayout : std::uint8_t {
  by_key_head,  // in_proj_qkvz and in_proj_ba: q, k, v, z of one key head, then of the next; b, a
  plain,        // in_proj_qkv: q of all key heads, k of all, v of all value heads; z, b and a apart
};

// Of both families, qwen3_next and qwen3_5: what differs between them is told by its fields.
struct ModelConfig {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t max_position_embeddings = 0;
  float rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  std::vector<LayerKind> layers;  // one per layer: layer_types, else full_attention_interval

  // full attention
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  int rotary_dim = 0;  // head_dim · partial_rotary_factor, even
  double rope_theta = 0;

  // Gated DeltaNet
  int linear_num_key_heads = 0;
  int linear_num_value_heads = 0;
  int linear_key_head_dim = 0;
  int linear_value_head_dim = 0;
  int linear_conv_kernel_dim = 0;
  DeltaLayout delta_layout = DeltaLayout::by_key_head;

  // of every layer its second half: a mixture of experts, or, where there are none, one MLP
  std::int64_t intermediate_size = 0;  // of the MLP
  int num_experts = 0;                 // 0: the model is dense
  int num_experts_per_tok = 0;
  std::int64_t moe_intermediate_size = 0;
  std::int64_t shared_expert_intermediate_size = 0;
  bool norm_topk_prob = true;

  int num_mtp_layers = 1;  // of the multi-token-prediction head, where there is one; 1 is run

  bool is_dense() const { return num_experts == 0; }
  int num_layers() const { return static_cast<int>(layers.size()); }
};

// Reads DIR/config.json. Throws Error naming the file, the field and its value when a field is
// missing, out of range, of a wrong type or asks for something that this program does not do.
ModelConfig read_config(const std::filesystem::path& directory);
ModelConfig parse_config(const std::string& json, const std::string& name_for_errors);

// What the checkpoint's authors recommend: generation_config.json where present, else greedy. A
// generation ends at each of the ids that the two files name.
struct GenerationDefaults {
  bool says_sampling = false;  // the file has any of the next five
  bool do_sample = false;
  float temperature = 1;
  int top_k = 0;    // 0: off
  float top_p = 1;  // 1: off
  float min_p = 0;  // 0: off
  float repetition_penalty = 1;
  std::vector<TokenId> eos;
};
GenerationDefaults read_generation_defaults(const std::filesystem::path& directory);

}  // namespace hearth::engine
