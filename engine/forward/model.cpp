// Loading weights: every tensor the config calls for, by name, checked and copied to the backend.
#include "engine/forward/model.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/checkpoint/digest.hpp"
#include "engine/checkpoint/weight_tensor.hpp"
#include "engine/forward/model_bytes.hpp"
#include "engine/support/digest.hpp"
#include "engine/support/types.hpp"

namespace hearth::engine {

namespace {

using kernels::Buffer;
using kernels::DType;
using kernels::Matrix;
using kernels::Slice;

constexpr std::uint64_t piece_bytes = digest_piece;  // between two looks at the stop flag
constexpr std::size_t alignment = 64;

// The number in a name at that place, up to a dot.
std::optional<int> number_at(std::string_view name, std::size_t begin) {
  int number = 0;
  const char* const end = name.data() + name.size();
  const auto [after, error] = std::from_chars(name.data() + begin, end, number);
  if (error != std::errc() || after == end || *after != '.') return std::nullopt;
  return number;
}

// What some programs write beside the weights and what follows from config.json.
bool is_harmless(std::string_view name) {
  constexpr std::array endings{".rotary_emb.inv_freq", ".masked_bias", ".attn.bias"};
  return std::ranges::any_of(endings,
                             [&](std::string_view ending) { return name.ends_with(ending); });
}

constexpr std::string_view embedding_ending = "embed_tokens.weight";

// What all names of the language model begin with: "model.", or where it is one part of several
// "model.language_model."; what stands before the one name of its embeddings.
std::string root_of(const Tensors& tensors) {
  const TensorInfo* found = nullptr;
  for (const auto& [name, tensor] : tensors.all()) {
    if (!name.ends_with(embedding_ending) || is_skipped(name) || name.starts_with("mtp.")) continue;
    if (found != nullptr) {
      throw Error("the checkpoint has two embeddings, " + found->name + " and " + name +
                  "; one was expected, and the names of the model's tensors to begin as its does");
    }
    found = &tensor;
  }
  if (found == nullptr) tensors.require("model.embed_tokens.weight");  // says that it is missing
  return found->name.substr(0, found->name.size() - embedding_ending.size());
}

class Loader {
 public:
  Loader(Model& model, LayerPlaces& places, const ModelConfig& config,
         const std::function<void(const LoadProgress&)>& progress, const std::atomic<bool>* stop)
      : model_(model),
        places_(places),
        backend_(places.devices.front()),
        storage_(&model.storage),
        config_(config),
        tensors_(*model.tensors),
        progress_(progress),
        stop_(stop) {}

  void load(bool mtp) {
    root_ = root_of(tensors_);
    check_config();
    report_.bytes_total = dense_bytes(tensors_, mtp);
    model_.embed_tokens = matrix(embedding_name(), config_.vocab_size, config_.hidden_size);
    model_.lm_head = config_.tie_word_embeddings
                         ? model_.embed_tokens
                         : matrix("lm_head.weight", config_.vocab_size, config_.hidden_size);
    model_.norm = vector(root_ + "norm.weight", config_.hidden_size);

    for (int index = 0; index < config_.num_layers(); ++index)
      model_.layers.push_back(numbered_layer(index));
    if (mtp) model_.mtp = mtp_head();
    model_.store = std::make_unique<ExpertStore>(tensors_, config_, experts_);
    list_unused(mtp);
    digest_others();
    model_.dense_bytes = report_.bytes_done + model_.store->scale_bytes();
    for (const auto& file : tensors_.files()) file->drop_cached();
  }

  void move() {
    root_ = root_of(tensors_);
    for (int index = 0; index < config_.num_layers(); ++index) {
      const auto at = static_cast<std::size_t>(index);
      Layer& there = model_.layers[at];
      if (there.device != places_.device_of[at]) there = numbered_layer(index);
    }
  }

 private:
  // What the files hold and the configuration leaves out would silently make another model of it.
  void check_config() const {
    const std::string layers = root_ + "layers.";
    for (const auto& [name, tensor] : tensors_.all()) {
      if (!name.starts_with(layers)) continue;
      const std::optional<int> layer = number_at(name, layers.size());
      if (!layer || *layer < config_.num_layers()) continue;
      throw Error(
          file_of(tensor) + ": tensor " + name + " belongs to layer " + std::to_string(*layer) +
          ", but config.json says \"num_hidden_layers\": " + std::to_string(config_.num_layers()) +
          " (the first is layer 0). One of them is of another checkpoint: download "
          "config.json again.");
    }
    const TensorInfo* const head = tensors_.find("lm_head.weight");
    if (head != nullptr && config_.tie_word_embeddings) {
      throw Error(file_of(*head) +
                  ": there is a tensor lm_head.weight, but config.json says "
                  "\"tie_word_embeddings\": true, so it would not be used. Download config.json "
                  "again; where the tensor is the one to be used, set the field to false.");
    }
  }

  std::string embedding_name() const { return root_ + std::string(embedding_ending); }

  const std::string& file_of(const TensorInfo& tensor) const {
    return tensors_.files()[tensor.file]->name();
  }

  void list_unused(bool mtp) {
    const std::set<std::string_view> experts(experts_.begin(), experts_.end());
    for (const auto& [name, tensor] : tensors_.all()) {
      if (is_skipped(name)) {
        ++model_.skipped;
        continue;
      }
      const bool used = used_.contains(name) || is_experts(name, experts) ||
                        (!mtp && name.starts_with("mtp.")) || is_harmless(name);
      if (!used) model_.unused.push_back(name);
    }
  }

  // Small tensors, and those that are not used: every byte outside the experts counts, but for what
  // is skipped.
  void digest_others() {
    for (const auto& [name, tensor] : tensors_.all()) {
      if (is_expert_weight(name) || is_skipped(name) || digested_.contains(name)) continue;
      if (stop_ != nullptr && stop_->load()) throw Error("loading the model was cancelled");
      digests_.add(name, digest_tensor(tensors_, tensor));
    }
    model_.dense_digest = digests_.sum();
  }

  // Whether it belongs to an expert, or to all of a layer; these are the layers' prefixes,
  // "model.layers.0.mlp.experts." first.
  bool is_experts(std::string_view name, const std::set<std::string_view>& prefixes) const {
    constexpr std::string_view mark = ".experts.";
    const std::size_t at = name.find(mark);
    if (at == std::string_view::npos) return false;
    const std::size_t begin = at + mark.size();
    if (!prefixes.contains(name.substr(0, begin))) return false;
    if (name.substr(begin) == "gate_up_proj" || name.substr(begin) == "down_proj") return true;
    const std::optional<int> expert = number_at(name, begin);
    if (!expert || *expert >= config_.num_experts) return false;
    const std::string_view rest = name.substr(std::min(name.find('.', begin), name.size()));
    constexpr std::array parts{".gate_proj.weight", ".up_proj.weight", ".down_proj.weight"};
    return std::ranges::any_of(parts, [&](std::string_view part) {
      return rest == part ||
             (rest.starts_with(part) && (rest.substr(part.size()) == block_scale_ending ||
                                         rest.substr(part.size()) == scale_ending));
    });
  }

  Layer numbered_layer(int index) {
    const auto at = static_cast<std::size_t>(index);
    const std::size_t device = places_.device_of[at];
    std::vector<Buffer> storage;
    backend_ = places_.devices[device];
    storage_ = &storage;
    try {
      Layer result = layer(root_ + "layers." + std::to_string(index) + ".", LayerId{index},
                           config_.layers[at]);
      result.device = device;
      result.storage = std::move(storage);
      backend_ = places_.devices.front();
      storage_ = &model_.storage;
      return result;
    } catch (const kernels::DeviceFull&) {
      for (std::size_t next = at; next < places_.device_of.size(); ++next)
        if (places_.device_of[next] == device) places_.device_of[next] = 0;
    }
    storage.clear();
    return numbered_layer(index);
  }

  Layer layer(const std::string& prefix, LayerId id, LayerKind kind) {
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
    if (config_.is_dense()) {
      layer.mlp = mlp(prefix + "mlp.", config_.intermediate_size);
    } else {
      layer.moe = mixture_of_experts(prefix + "mlp.");
      experts_.push_back(prefix + "mlp.experts.");
    }
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
    weights.in_proj = config_.delta_layout == DeltaLayout::plain
                          ? plain_projections(prefix, keys, values)
                          : projections_by_key_head(prefix, keys, values);
    weights.conv1d =
        values_of(prefix + "conv1d.weight", {channels, 1, config_.linear_conv_kernel_dim});
    weights.a_log = vector(prefix + "A_log", heads);
    weights.dt_bias = vector(prefix + "dt_bias", heads);
    weights.norm = vector(prefix + "norm.weight", config_.linear_value_head_dim);
    weights.out_proj = matrix(prefix + "out_proj.weight", hidden, values);
    return weights;
  }

  // `keys` and `values`: of all heads.
  std::vector<DeltaProjection> projections_by_key_head(const std::string& prefix, std::int64_t keys,
                                                       std::int64_t values) {
    const int groups = config_.linear_num_key_heads;
    const std::int64_t heads = config_.linear_num_value_heads / groups;  // of values, in a group
    const std::int64_t key = config_.linear_key_head_dim;
    const std::int64_t value = heads * config_.linear_value_head_dim;
    using enum DeltaInput;
    std::vector<DeltaProjection> all;
    all.push_back(
        {matrix(prefix + "in_proj_qkvz.weight", 2 * keys + 2 * values, config_.hidden_size),
         groups,
         {{qkv, key, 0}, {qkv, key, keys}, {qkv, value, 2 * keys}, {z, value, 0}}});
    all.push_back({matrix(prefix + "in_proj_ba.weight", 2 * heads * groups, config_.hidden_size),
                   groups,
                   {{b, heads, 0}, {a, heads, 0}}});
    return all;
  }

  std::vector<DeltaProjection> plain_projections(const std::string& prefix, std::int64_t keys,
                                                 std::int64_t values) {
    struct Named {
      const char* name;
      DeltaInput input;
      std::int64_t rows;
    };
    const std::int64_t heads = config_.linear_num_value_heads;
    std::vector<DeltaProjection> all;
    for (const auto& [name, input, rows] :
         {Named{"in_proj_qkv.weight", DeltaInput::qkv, 2 * keys + values},
          Named{"in_proj_z.weight", DeltaInput::z, values},
          Named{"in_proj_b.weight", DeltaInput::b, heads},
          Named{"in_proj_a.weight", DeltaInput::a, heads}})
      all.push_back({matrix(prefix + name, rows, config_.hidden_size), 1, {{input, rows, 0}}});
    return all;
  }

  ExpertWeights mlp(const std::string& prefix, std::int64_t width) {
    const std::int64_t hidden = config_.hidden_size;
    return {matrix(prefix + "gate_proj.weight", width, hidden),
            matrix(prefix + "up_proj.weight", width, hidden),
            matrix(prefix + "down_proj.weight", hidden, width)};
  }

  MixtureOfExperts mixture_of_experts(const std::string& prefix) {
    const std::int64_t hidden = config_.hidden_size;
    MixtureOfExperts weights;
    weights.gate = matrix(prefix + "gate.weight", config_.num_experts, hidden);
    weights.shared_expert_gate = matrix(prefix + "shared_expert_gate.weight", 1, hidden);
    weights.shared_expert = mlp(prefix + "shared_expert.", config_.shared_expert_intermediate_size);
    return weights;
  }

  MtpHead mtp_head() {
    const std::int64_t hidden = config_.hidden_size;
    MtpHead head;
    head.fc = matrix("mtp.fc.weight", hidden, 2 * hidden);
    head.pre_fc_norm_embedding = vector("mtp.pre_fc_norm_embedding.weight", hidden);
    head.pre_fc_norm_hidden = vector("mtp.pre_fc_norm_hidden.weight", hidden);
    head.norm = vector("mtp.norm.weight", hidden);
    head.layer = layer("mtp.layers.0.", LayerId{config_.num_layers()}, LayerKind::full_attention);
    return head;
  }

  // A weight matrix as it is stored; with its block scales where it is quantised.
  Matrix matrix(const std::string& name, std::int64_t rows, std::int64_t cols) {
    const WeightTensor weight = require_weight(tensors_, name, rows, cols);
    used_.insert(name);
    Slice scales;
    if (weight.scales != nullptr)
      scales = kept(*weight.scales, read_scales(tensors_, *weight.scales));
    Buffer buffer = backend_->allocate(std::max<std::size_t>(weight.data->bytes, alignment));
    fill(buffer, *weight.data);
    const Matrix result(buffer, 0, weight.type, rows, cols, scales, weight.scale_form);
    storage_->push_back(std::move(buffer));
    return result;
  }

  void fill(const Buffer& buffer, const TensorInfo& tensor) {
    const std::optional<std::span<std::byte>> host = backend_->map(buffer);
    std::vector<std::byte> staging;
    std::uint64_t sum = 0;
    for (std::uint64_t at = 0; at < tensor.bytes; at += piece_bytes) {
      if (stop_ != nullptr && stop_->load()) throw Error("loading the model was cancelled");
      const std::size_t count = static_cast<std::size_t>(std::min(piece_bytes, tensor.bytes - at));
      if (!host) staging.resize(count);
      const std::span<std::byte> piece = host ? host->subspan(at, count) : std::span(staging);
      tensors_.read(tensor, at, piece);
      sum = digest(piece, sum);
      if (!host) backend_->write(buffer, at, piece);
      count_bytes(count);
    }
    digests_.add(tensor.name, sum);
    digested_.insert(tensor.name);
    if (tensor.bytes >= piece_bytes) tensors_.files()[tensor.file]->drop_cached();
  }

  Slice vector(const std::string& name, std::int64_t size) { return values_of(name, {size}); }

  Slice values_of(const std::string& name, std::initializer_list<std::int64_t> shape) {
    return values_of(require_shape(tensors_, name, std::span(shape.begin(), shape.size())));
  }

  // A small tensor widened to F32.
  Slice values_of(const TensorInfo& tensor) { return kept(tensor, tensors_.read_f32(tensor)); }

  Slice kept(const TensorInfo& tensor, std::span<const float> values) {
    used_.insert(tensor.name);
    Buffer buffer = backend_->allocate(std::max(values.size() * sizeof(float), alignment));
    const Slice result = kernels::slice(buffer, 0, values.size());
    backend_->write(result, values);
    storage_->push_back(std::move(buffer));
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
  LayerPlaces& places_;
  kernels::Backend* backend_;     // whose memory is filled now
  std::vector<Buffer>* storage_;  // what it belongs to
  const ModelConfig& config_;
  const Tensors& tensors_;
  const std::function<void(const LoadProgress&)>& progress_;
  const std::atomic<bool>* stop_;
  std::string root_;                             // of the language model's names, "model."
  std::vector<std::string> experts_;             // prefixes of their names, by layer
  std::set<std::string, std::less<>> digested_;  // those of them that digests_ has
  TensorDigests digests_;
  std::set<std::string, std::less<>> used_;  // names of the tensors that were read
  LoadProgress report_;
  std::uint64_t reported_ = 0;
};

}  // namespace

void load_dense(Model& model, LayerPlaces& places, const ModelConfig& config, bool mtp,
                const std::function<void(const LoadProgress&)>& progress,
                const std::atomic<bool>* stop) {
  Loader(model, places, config, progress, stop).load(mtp);
}

void move_layers(Model& model, LayerPlaces& places, const ModelConfig& config) {
  Loader(model, places, config, {}, nullptr).move();
}

}  // namespace hearth::engine
