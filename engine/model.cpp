// Loading weights: every tensor the config calls for, by name, checked and copied to the backend.
#include "engine/model.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "engine/engine.hpp"
#include "engine/resident_experts.hpp"

namespace hearth::engine {

namespace {

using kernels::Buffer;
using kernels::DType;
using kernels::Matrix;
using kernels::Slice;

constexpr std::uint64_t piece_bytes = 8 << 20;  // between two looks at the stop flag
constexpr std::size_t alignment = 64;

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

std::optional<DType> weight_type(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return DType::f32;
    case TensorType::f16:
      return DType::f16;
    case TensorType::bf16:
      return DType::bf16;
    case TensorType::f8_e4m3:
      return DType::f8_e4m3;
    default:
      return std::nullopt;
  }
}

std::int64_t blocks_of(std::int64_t size) {
  return (size + Matrix::block - 1) / Matrix::block;
}

class Loader {
 public:
  Loader(Model& model, const Config& config, const Tensors& tensors,
         const std::function<void(const LoadProgress&)>& progress, const std::atomic<bool>* stop)
      : model_(model), config_(config), tensors_(tensors), progress_(progress), stop_(stop) {}

  void load(bool mtp) {
    const bool with_mtp = mtp && tensors_.find("mtp.fc.weight") != nullptr;
    report_.bytes_total = total_bytes(with_mtp);
    model_.embed_tokens =
        matrix("model.embed_tokens.weight", config_.vocab_size, config_.hidden_size);
    model_.lm_head = config_.tie_word_embeddings
                         ? model_.embed_tokens
                         : matrix("lm_head.weight", config_.vocab_size, config_.hidden_size);
    model_.norm = vector("model.norm.weight", config_.hidden_size);

    auto experts = std::make_unique<ResidentExperts>();
    for (int index = 0; index < config_.num_layers(); ++index) {
      const std::string prefix = "model.layers." + std::to_string(index) + ".";
      model_.layers.push_back(
          layer(prefix, LayerId{index}, config_.layers[static_cast<std::size_t>(index)], *experts));
    }
    if (with_mtp) model_.mtp = mtp_head(*experts);
    model_.experts = std::move(experts);
    model_.weight_bytes = report_.bytes_done;
  }

 private:
  // What this load will read, for the progress report.
  std::uint64_t total_bytes(bool with_mtp) const {
    std::uint64_t total = 0;
    for (const auto& [name, tensor] : tensors_.all()) {
      if (with_mtp || !name.starts_with("mtp.")) total += tensor.bytes;
    }
    return total;
  }

  Layer layer(const std::string& prefix, LayerId id, LayerKind kind, ResidentExperts& experts) {
    Layer layer;
    layer.id = id;
    layer.kind = kind;
    layer.input_layernorm = vector(prefix + "input_layernorm.weight", config_.hidden_size);
    layer.post_attention_layernorm =
        vector(prefix + "post_attention_layernorm.weight", config_.hidden_size);
    if (kind == LayerKind::full_attention) {
      layer.full = full_attention(prefix + "self_attn.");
    } else {
      layer.linear = linear_attention(prefix + "linear_attn.");
    }
    layer.moe = mixture_of_experts(prefix + "mlp.");
    experts.add_layer(load_experts(prefix + "mlp.experts."));
    return layer;
  }

  FullAttention full_attention(const std::string& prefix) {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t dim = config_.head_dim;
    const std::int64_t queries = config_.num_attention_heads * dim;
    const std::int64_t keys = config_.num_key_value_heads * dim;
    FullAttention weights;
    weights.q_proj = matrix(prefix + "q_proj.weight", 2 * queries, hidden);
    weights.k_proj = matrix(prefix + "k_proj.weight", keys, hidden);
    weights.v_proj = matrix(prefix + "v_proj.weight", keys, hidden);
    weights.o_proj = matrix(prefix + "o_proj.weight", hidden, queries);
    weights.q_norm = vector(prefix + "q_norm.weight", dim);
    weights.k_norm = vector(prefix + "k_norm.weight", dim);
    return weights;
  }

  LinearAttention linear_attention(const std::string& prefix) {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t keys =
        std::int64_t{config_.linear_num_key_heads} * config_.linear_key_head_dim;
    const std::int64_t values =
        std::int64_t{config_.linear_num_value_heads} * config_.linear_value_head_dim;
    const std::int64_t heads = config_.linear_num_value_heads;
    const std::int64_t channels = 2 * keys + values;
    LinearAttention weights;
    weights.in_proj_qkvz = matrix(prefix + "in_proj_qkvz.weight", 2 * keys + 2 * values, hidden);
    weights.in_proj_ba = matrix(prefix + "in_proj_ba.weight", 2 * heads, hidden);
    weights.conv1d =
        values_of(prefix + "conv1d.weight", {channels, 1, config_.linear_conv_kernel_dim});
    weights.a_log = vector(prefix + "A_log", heads);
    weights.dt_bias = vector(prefix + "dt_bias", heads);
    weights.norm = vector(prefix + "norm.weight", config_.linear_value_head_dim);
    weights.out_proj = matrix(prefix + "out_proj.weight", hidden, values);
    return weights;
  }

  MixtureOfExperts mixture_of_experts(const std::string& prefix) {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t width = config_.shared_expert_intermediate_size;
    MixtureOfExperts weights;
    weights.gate = matrix(prefix + "gate.weight", config_.num_experts, hidden);
    weights.shared_expert_gate = matrix(prefix + "shared_expert_gate.weight", 1, hidden);
    weights.shared_expert.gate = matrix(prefix + "shared_expert.gate_proj.weight", width, hidden);
    weights.shared_expert.up = matrix(prefix + "shared_expert.up_proj.weight", width, hidden);
    weights.shared_expert.down = matrix(prefix + "shared_expert.down_proj.weight", hidden, width);
    return weights;
  }

  std::vector<ExpertWeights> load_experts(const std::string& prefix) {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t width = config_.moe_intermediate_size;
    std::vector<ExpertWeights> experts(static_cast<std::size_t>(config_.num_experts));
    for (std::size_t i = 0; i < experts.size(); ++i) {
      const std::string name = prefix + std::to_string(i) + ".";
      experts[i].gate = matrix(name + "gate_proj.weight", width, hidden);
      experts[i].up = matrix(name + "up_proj.weight", width, hidden);
      experts[i].down = matrix(name + "down_proj.weight", hidden, width);
    }
    return experts;
  }

  MtpHead mtp_head(ResidentExperts& experts) {
    const std::int64_t hidden = config_.hidden_size;
    MtpHead head;
    head.fc = matrix("mtp.fc.weight", hidden, 2 * hidden);
    head.pre_fc_norm_embedding = vector("mtp.pre_fc_norm_embedding.weight", hidden);
    head.pre_fc_norm_hidden = vector("mtp.pre_fc_norm_hidden.weight", hidden);
    head.norm = vector("mtp.norm.weight", hidden);
    head.layer =
        layer("mtp.layers.0.", LayerId{config_.num_layers()}, LayerKind::full_attention, experts);
    return head;
  }

  const TensorInfo& checked(const std::string& name, std::span<const std::int64_t> shape) const {
    const TensorInfo& tensor = tensors_.require(name);
    if (!std::ranges::equal(tensor.shape, shape)) {
      throw Error("tensor " + name + " has shape " + shape_text(tensor.shape) +
                  "; config.json calls for " + shape_text(shape));
    }
    return tensor;
  }

  // A weight matrix as it is stored; with its block scales where it is quantised.
  Matrix matrix(const std::string& name, std::int64_t rows, std::int64_t cols) {
    const TensorInfo& tensor = checked(name, std::array{rows, cols});
    const std::optional<DType> type = weight_type(tensor.type);
    if (!type) {
      throw Error("tensor " + name + " has dtype " + std::string(engine::name(tensor.type)) +
                  "; a weight must be F32, F16, BF16 or F8_E4M3");
    }
    const std::string scale_name = name + "_scale_inv";
    const bool quantised = *type == DType::f8_e4m3;
    if (quantised != (tensors_.find(scale_name) != nullptr)) {
      throw Error("tensor " + name +
                  (quantised ? " is F8_E4M3 but " + scale_name + " is missing"
                             : " is not F8_E4M3 but " + scale_name + " is present"));
    }
    Slice scales;
    if (quantised) scales = values_of(scale_name, {blocks_of(rows), blocks_of(cols)});

    Buffer buffer = model_.backend->allocate(std::max<std::size_t>(tensor.bytes, alignment));
    fill(buffer, tensor);
    const Matrix result(buffer, 0, *type, rows, cols, scales);
    model_.storage.push_back(std::move(buffer));
    return result;
  }

  void fill(const Buffer& buffer, const TensorInfo& tensor) {
    const std::span<std::byte> host = model_.backend->map(buffer);
    std::vector<std::byte> staging;
    for (std::uint64_t at = 0; at < tensor.bytes; at += piece_bytes) {
      if (stop_ != nullptr && stop_->load()) throw Error("loading the model was cancelled");
      const std::size_t count = static_cast<std::size_t>(std::min(piece_bytes, tensor.bytes - at));
      if (!host.empty()) {
        tensors_.read(tensor, at, host.subspan(at, count));
      } else {
        staging.resize(count);
        tensors_.read(tensor, at, staging);
        model_.backend->write(buffer, at, staging);
      }
      count_bytes(count);
    }
  }

  Slice vector(const std::string& name, std::int64_t size) { return values_of(name, {size}); }

  // A small tensor widened to F32.
  Slice values_of(const std::string& name, std::initializer_list<std::int64_t> shape) {
    const TensorInfo& tensor = checked(name, std::span(shape.begin(), shape.size()));
    const std::vector<float> values = tensors_.read_f32(tensor);
    Buffer buffer = model_.backend->allocate(std::max(values.size() * sizeof(float), alignment));
    const Slice result = kernels::slice(buffer, 0, values.size());
    model_.backend->write(result, values);
    model_.storage.push_back(std::move(buffer));
    count_bytes(tensor.bytes);
    return result;
  }

  void count_bytes(std::uint64_t bytes) {
    report_.bytes_done += bytes;
    if (!progress_ || report_.bytes_done < reported_ + piece_bytes) return;
    reported_ = report_.bytes_done;
    progress_(report_);
  }

  Model& model_;
  const Config& config_;
  const Tensors& tensors_;
  const std::function<void(const LoadProgress&)>& progress_;
  const std::atomic<bool>* stop_;
  LoadProgress report_;
  std::uint64_t reported_ = 0;
};

}  // namespace

void load_weights(Model& model, const Config& config, const Tensors& tensors, bool mtp,
                  const std::function<void(const LoadProgress&)>& progress,
                  const std::atomic<bool>* stop) {
  Loader(model, config, tensors, progress, stop).load(mtp);
  model.workspace = std::make_unique<Workspace>(*model.backend);
}

}  // namespace hearth::engine
