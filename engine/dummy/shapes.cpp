// The shapes of dummy checkpoints: the published ones, and a small model's after the same plan.
#include <algorithm>
#include <array>
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

// What the published models have in common, or all but a few of them.
ModelConfig usual_config(int layers, std::int64_t hidden) {
  ModelConfig config;
  config.hidden_size = hidden;
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
  return config;
}

ModelConfig qwen3_5_config(int layers, std::int64_t hidden) {
  ModelConfig config = usual_config(layers, hidden);
  config.vocab_size = 248'320;
  config.delta_layout = DeltaLayout::plain;
  return config;
}

ModelConfig qwen3_5_35b() {
  ModelConfig config = qwen3_5_config(40, 2048);
  config.num_experts = 256;
  config.num_experts_per_tok = 8;
  config.moe_intermediate_size = 512;
  config.shared_expert_intermediate_size = 512;
  return config;
}

ModelConfig qwen3_5_08b() {
  ModelConfig config = qwen3_5_config(24, 1024);
  config.num_attention_heads = 8;
  config.linear_num_value_heads = 16;
  config.intermediate_size = 3584;
  config.tie_word_embeddings = true;
  return config;
}

ModelConfig qwen3_5_27b() {
  ModelConfig config = qwen3_5_config(64, 5120);
  config.num_attention_heads = 24;
  config.num_key_value_heads = 4;
  config.linear_num_value_heads = 48;
  config.intermediate_size = 17'408;
  return config;
}

}  // namespace

std::span<const PublishedModel> published_models() {
  using enum WeightForm;
  static const std::array models{
      PublishedModel{"qwen3-coder-next", "Qwen3-Coder-Next-FP8", published_config(48, 512), fp8,
                     false},
      PublishedModel{"qwen3-next-80b-a3b", "Qwen3-Next-80B-A3B-Instruct-FP8 and -Thinking-FP8",
                     published_config(48, 512), fp8, true},
      PublishedModel{"qwen3-next-80b-a3b-bf16", "the BF16 originals of these",
                     published_config(48, 512), bf16, true},
      PublishedModel{"qwen3.6-35b-a3b", "Qwen3.6-35B-A3B-FP8 and Qwen3.5-35B-A3B-FP8",
                     qwen3_5_35b(), fp8, true},
      PublishedModel{"ornith-1.5-35b-a3b", "Ornith-1.5-35B-A3B-FP8", qwen3_5_35b(), fp8_rows, true},
      PublishedModel{"qwen3.6-27b", "Qwen3.6-27B-FP8", qwen3_5_27b(), fp8, true},
      PublishedModel{"qwen3.5-0.8b", "Qwen3.5-0.8B", qwen3_5_08b(), bf16, true},
  };
  return models;
}

ModelConfig with_layers(const PublishedModel& model, int layers, std::optional<int> experts) {
  ModelConfig config = model.config;
  config.layers.clear();
  add_layers(config, layers);
  if (!experts) return config;
  if (config.is_dense())
    throw Error(std::string(model.name) + " has no experts, whose number could be another");
  config.num_experts = *experts;
  config.num_experts_per_tok = std::min(config.num_experts_per_tok, *experts);
  return config;
}

ModelConfig published_config(int layers, int experts) {
  ModelConfig config = usual_config(layers, 2048);
  config.vocab_size = 151'936;
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
