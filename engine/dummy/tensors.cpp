// Names, shapes and places of a dummy checkpoint's tensors.
#include "engine/dummy/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

namespace hearth::engine {
namespace {

constexpr std::int64_t scale_block = 128;
constexpr std::uint64_t header_entry_bytes = 120;  // more than any tensor's, but for its name

class Lister {
 public:
  Lister(const ModelConfig& config, bool mtp, WeightForm form)
      : config_(config), mtp_(mtp), form_(form) {
    // Every layer adds to the residual twice; all of them together about as much as it began with.
    output_ = 1 / std::sqrt(2.0 * config.num_layers());
  }

  std::vector<DummyTensor> list() {
    const std::int64_t hidden = config_.hidden_size;
    const bool plain_layout = config_.delta_layout == DeltaLayout::plain;
    const std::string root = plain_layout ? "model.language_model." : "model.";
    plain(root + "embed_tokens.weight", {config_.vocab_size, hidden}, Values::embedding, 1);
    for (int index = 0; index < config_.num_layers(); ++index) {
      layer(root + "layers." + std::to_string(index) + ".",
            config_.layers[static_cast<std::size_t>(index)]);
    }
    norm(root + "norm.weight", hidden);
    if (!config_.tie_word_embeddings) {
      plain("lm_head.weight", {config_.vocab_size, hidden}, Values::random, unit(hidden));
    }
    if (mtp_) {
      is_mtp_ = true;
      plain("mtp.fc.weight", {hidden, 2 * hidden}, Values::mtp_input, unit(2 * hidden));
      layer("mtp.layers.0.", LayerKind::full_attention);
      norm("mtp.norm.weight", hidden);
      norm("mtp.pre_fc_norm_embedding.weight", hidden);
      norm("mtp.pre_fc_norm_hidden.weight", hidden);
    }
    return std::move(tensors_);
  }

 private:
  // The standard deviation with which `inputs` values of variance 1 add up to variance 1.
  static double unit(std::int64_t inputs) { return 1 / std::sqrt(static_cast<double>(inputs)); }

  void layer(const std::string& prefix, LayerKind kind) {
    if (kind == LayerKind::full_attention) {
      full_attention(prefix + "self_attn.");
    } else {
      linear_attention(prefix + "linear_attn.");
    }
    if (config_.is_dense()) {
      mlp(prefix + "mlp.", config_.intermediate_size);
    } else {
      mixture_of_experts(prefix + "mlp.");
    }
    norm(prefix + "input_layernorm.weight", config_.hidden_size);
    norm(prefix + "post_attention_layernorm.weight", config_.hidden_size);
  }

  void full_attention(const std::string& prefix) {
    const std::int64_t dim = config_.head_dim;
    const std::int64_t queries = config_.num_attention_heads * dim;
    const std::int64_t keys = config_.num_key_value_heads * dim;
    input(prefix + "q_proj.weight", 2 * queries);
    input(prefix + "k_proj.weight", keys);
    input(prefix + "v_proj.weight", keys);
    output(prefix + "o_proj.weight", queries);
    norm(prefix + "q_norm.weight", dim);
    norm(prefix + "k_norm.weight", dim);
  }

  void linear_attention(const std::string& prefix) {
    const std::int64_t keys =
        std::int64_t{config_.linear_num_key_heads} * config_.linear_key_head_dim;
    const std::int64_t heads = config_.linear_num_value_heads;
    const std::int64_t values = heads * config_.linear_value_head_dim;
    const std::int64_t hidden = config_.hidden_size;
    plain(prefix + "dt_bias", {heads}, Values::dt_bias, 0);
    plain(prefix + "A_log", {heads}, Values::a_log, 0);
    // So little that silu behind it is nearly linear: otherwise all keys would point one way.
    plain(prefix + "conv1d.weight", {2 * keys + values, 1, config_.linear_conv_kernel_dim},
          Values::random, 0.1);
    is_recurrent_ = true;
    const double small = 0.5 * unit(hidden);
    if (config_.delta_layout == DeltaLayout::plain) {
      input(prefix + "in_proj_qkv.weight", 2 * keys + values);
      input(prefix + "in_proj_z.weight", values);
      plain(prefix + "in_proj_b.weight", {heads, hidden}, Values::random, small);
      plain(prefix + "in_proj_a.weight", {heads, hidden}, Values::random, small);
    } else {
      input(prefix + "in_proj_qkvz.weight", 2 * keys + 2 * values);
      plain(prefix + "in_proj_ba.weight", {2 * heads, hidden}, Values::random, small);
    }
    plain(prefix + "norm.weight", {config_.linear_value_head_dim}, Values::near_one, 0);
    output(prefix + "out_proj.weight", values);
    is_recurrent_ = false;
  }

  void mixture_of_experts(const std::string& prefix) {
    const std::int64_t hidden = config_.hidden_size;
    plain(prefix + "gate.weight", {config_.num_experts, hidden}, Values::router, unit(hidden));
    for (int expert = 0; expert < config_.num_experts; ++expert) {
      const std::size_t first = tensors_.size();
      mlp(prefix + "experts." + std::to_string(expert) + ".", config_.moe_intermediate_size);
      for (std::size_t i = first; i < tensors_.size(); ++i) {
        tensors_[i].expert = tensors_[i].values != Values::scales;
      }
    }
    mlp(prefix + "shared_expert.", config_.shared_expert_intermediate_size);
    plain(prefix + "shared_expert_gate.weight", {1, hidden}, Values::random, unit(hidden));
  }

  void mlp(const std::string& prefix, std::int64_t width) {
    input(prefix + "gate_proj.weight", width);
    input(prefix + "up_proj.weight", width);
    output(prefix + "down_proj.weight", width);
  }

  // From the hidden state to `rows` values.
  void input(const std::string& name, std::int64_t rows) {
    quantised(name, rows, config_.hidden_size, Values::random, unit(config_.hidden_size));
  }

  // From `cols` values to what is added to the hidden state.
  void output(const std::string& name, std::int64_t cols) {
    quantised(name, config_.hidden_size, cols, Values::output, output_ * unit(cols));
  }

  void quantised(const std::string& name, std::int64_t rows, std::int64_t cols, Values values,
                 double deviation) {
    const bool by_rows = form_ == WeightForm::fp8_rows;
    if (form_ == WeightForm::bf16 || (by_rows && (is_recurrent_ || is_mtp_)))
      return plain(name, {rows, cols}, values, deviation);
    add({.name = name,
         .type = TensorType::f8_e4m3,
         .shape = {rows, cols},
         .values = values,
         .deviation = deviation});
    if (by_rows) {
      add({.name = name + std::string(scale_ending),
           .type = TensorType::bf16,
           .shape = {rows, 1},
           .values = Values::scales,
           .deviation = deviation});
      return;
    }
    const auto blocks = [](std::int64_t size) { return (size + scale_block - 1) / scale_block; };
    add({.name = name + std::string(block_scale_ending),
         .type = TensorType::f32,
         .shape = {blocks(rows), blocks(cols)},
         .values = Values::scales,
         .deviation = deviation});
  }

  void norm(const std::string& name, std::int64_t size) {
    plain(name, {size}, Values::near_zero, 0);
  }

  void plain(const std::string& name, std::vector<std::int64_t> shape, Values values,
             double deviation) {
    add({.name = name, .shape = std::move(shape), .values = values, .deviation = deviation});
  }

  void add(DummyTensor tensor) {
    tensor.bytes = size_of(tensor.type);
    for (const std::int64_t size : tensor.shape) tensor.bytes *= static_cast<std::uint64_t>(size);
    tensors_.push_back(std::move(tensor));
  }

  const ModelConfig& config_;
  bool mtp_;
  WeightForm form_;
  bool is_recurrent_ = false;  // what is listed now, of a DeltaNet
  bool is_mtp_ = false;        // or of the MTP head
  double output_;
  std::vector<DummyTensor> tensors_;
};

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    if (!text.empty()) text += ',';
    text += std::to_string(size);
  }
  return text;
}

// Length, JSON and the spaces that align what follows; offsets in it count from the header's end.
std::string header_of(const std::vector<DummyTensor>& tensors) {
  std::string json = R"({"__metadata__":{"format":"pt"})";
  std::uint64_t at = 0;
  for (const DummyTensor& tensor : tensors) {
    json += ",\"" + tensor.name + R"(":{"dtype":")" + std::string(name(tensor.type)) +
            R"(","shape":[)" + shape_text(tensor.shape) + R"(],"data_offsets":[)" +
            std::to_string(at) + "," + std::to_string(at + tensor.bytes) + "]}";
    at += tensor.bytes;
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = json.size();
  std::string header(sizeof size, '\0');
  std::memcpy(header.data(), &size, sizeof size);
  return header + json;
}

void finish(DummyShard& shard) {
  std::ranges::sort(shard.tensors, [](const DummyTensor& a, const DummyTensor& b) {
    const std::size_t a_size = size_of(a.type);
    const std::size_t b_size = size_of(b.type);
    return a_size != b_size ? a_size > b_size : a.name < b.name;
  });
  shard.header = header_of(shard.tensors);
  shard.bytes = shard.header.size();
  for (DummyTensor& tensor : shard.tensors) {
    tensor.offset = shard.bytes;
    shard.bytes += tensor.bytes;
  }
}

std::string shard_name(std::size_t number, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

}  // namespace

std::vector<DummyTensor> list_tensors(const ModelConfig& config, bool mtp, WeightForm form) {
  return Lister(config, mtp, form).list();
}

std::vector<DummyShard> lay_out(std::vector<DummyTensor> tensors, std::uint64_t shard_bytes) {
  std::vector<DummyShard> shards(1);
  std::uint64_t bytes = 0;
  for (DummyTensor& tensor : tensors) {
    const std::uint64_t cost = tensor.bytes + tensor.name.size() + header_entry_bytes;
    if (bytes + cost > shard_bytes && !shards.back().tensors.empty()) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().tensors.push_back(std::move(tensor));
    bytes += cost;
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    finish(shards[i]);
    shards[i].name = shard_name(i + 1, shards.size());
  }
  return shards;
}

}  // namespace hearth::engine
