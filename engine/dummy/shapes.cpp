// The shapes of dummy checkpoints: the published ones, and a small model's after the same plan.
#include <algorithm>
#include <string>

#include "engine/dummy/dummy.hpp"
#include "engine/support/types.hpp"

namespace hearth::engine {
namespace {

void add_layers(ModelConfig& config, int layers) {
  for (int layer = 1; layer <= layers; ++layer) {
    config.layers.push_back(layer % attention_interval == 0 ? LayerKind::full_attention
                                                            : LayerKind::linear_attention);
  }
}

}  // namespace

ModelConfig published_config(int layers, int experts) {
  ModelConfig config;
  config.vocab_size = 151'936;
  config.hidden_size = 2048;
  config.max_position_embeddings = 262'144;
  config.rms_norm_eps = 1e-6F;
  add_layers(config, layers);
  config.num_attention_heads = 16;
  config.num_key_value_heads = 2;
  config.head_dim = 256;
  config.rotary_dim = 64;
  config.rope_theta = 10'000'000;
  config.linear_num_key_heads = 16;
  config.linear_num_value_heads = 32;
  config.linear_key_head_dim = 128;
  config.linear_value_head_dim = 128;
  config.linear_conv_kernel_dim = 4;
  config.num_experts = experts;
  config.num_experts_per_tok = std::min(10, experts);
  config.moe_intermediate_size = 512;
  config.shared_expert_intermediate_size = 512;
  return config;
}

ModelConfig tiny_config(int hidden, int layers, int experts) {
  constexpr int block = 128;  // of scales; two heads
  constexpr int head_dim = 64;
  if (hidden < block || hidden > max_tiny_hidden || hidden % block != 0) {
    throw Error("a hidden size of " + std::to_string(hidden) + ": expected a multiple of " +
                std::to_string(block) + " up to " + std::to_string(max_tiny_hidden));
  }
  if (layers < 1 || experts < 1) {
    throw Error(std::to_string(layers) + " layers of " + std::to_string(experts) +
                " experts: expected at least one of each");
  }
  ModelConfig config;
  config.vocab_size = 0;
  config.hidden_size = hidden;
  config.max_position_embeddings = 8'192;
  config.rms_norm_eps = 1e-6F;
  add_layers(config, layers);
  config.num_attention_heads = hidden / head_dim;
  config.num_key_value_heads = config.num_attention_heads / 2;
  config.head_dim = head_dim;
  config.rotary_dim = head_dim / 4;
  config.rope_theta = 1'000'000;
  config.linear_num_key_heads = hidden / block;
  config.linear_num_value_heads = hidden / head_dim;
  config.linear_key_head_dim = head_dim;
  config.linear_value_head_dim = head_dim;
  config.linear_conv_kernel_dim = 4;
  config.num_experts = experts;
  config.num_experts_per_tok = std::min(4, experts);
  config.moe_intermediate_size = std::max(hidden / 4, head_dim);
  config.shared_expert_intermediate_size = std::max(hidden / 2, head_dim);
  return config;
}

}  // namespace hearth::engine
