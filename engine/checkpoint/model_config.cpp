// config.json and generation_config.json: every field checked before anything is sized by it.
#include "engine/checkpoint/model_config.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>
#include <utility>

#include "engine/support/file.hpp"
#include "engine/support/json_tree.hpp"

namespace hearth::engine {
namespace {

// Far above any published model, low enough that no product of three overflows 64 bits.
constexpr std::int64_t max_layers = 1'024;
constexpr std::int64_t max_width = 65'536;  // hidden size, expert width
constexpr std::int64_t max_heads = 1'024;
constexpr std::int64_t max_head_dim = 1'024;
constexpr std::int64_t max_experts = 4'096;
constexpr std::int64_t max_kernel = 64;
constexpr std::int64_t max_vocab = 4'194'304;
constexpr std::int64_t max_positions = 16'777'216;
constexpr std::uint64_t max_config_bytes = 4'000'000;

int small(const Fields& fields, const std::string& key, std::int64_t max) {
  return static_cast<int>(fields.integer(key, 1, max));
}

void check_mathematics(const Fields& fields) {
  if (fields.text("hidden_act", "silu") != "silu") fields.refuse("hidden_act", "\"silu\"");
  if (fields.flag("attention_bias", false)) fields.refuse("attention_bias", "false");
}

void check_qwen3_next(const Fields& fields) {
  const nlohmann::json* dense = fields.array("mlp_only_layers");
  if (dense && !dense->empty()) {
    fields.refuse("mlp_only_layers", "none: every layer must have experts");
  }
  if (fields.integer("decoder_sparse_step", 0, max_layers, 1) != 1) {
    fields.refuse("decoder_sparse_step", "1: every layer must have experts");
  }
}

// What this family could say otherwise, and published files do not.
void check_qwen3_5(const Fields& fields) {
  if (!fields.flag("attn_output_gate", true)) fields.refuse("attn_output_gate", "true");
  const std::string gate = fields.text("output_gate_type", "swish");
  if (gate != "swish" && gate != "silu") {
    fields.refuse("output_gate_type", "\"swish\" or \"silu\"");
  }
  if (fields.text("mamba_ssm_dtype", "float32") != "float32") {
    fields.refuse("mamba_ssm_dtype", "\"float32\"");
  }
  for (const char* key : {"mtp_use_dedicated_embeddings", "layer_scale"}) {
    if (fields.flag(key, false)) fields.refuse(key, "false");
  }
}

void check_fp8(const Fields& quantization) {
  if (quantization.text("fmt", "e4m3") != "e4m3") quantization.refuse("fmt", "\"e4m3\"");
  const nlohmann::json* block = quantization.array("weight_block_size");
  if (!block || *block != nlohmann::json({128, 128})) {
    quantization.refuse("weight_block_size", "[128, 128]");
  }
}

// Each group says how the weights of some layers are stored. Which ones is told by the tensors:
// published lists are known to name wrong prefixes.
void check_compressed_tensors(const Fields& quantization) {
  constexpr const char* format = "float-quantized";
  if (quantization.text("format", format) != format) {
    quantization.refuse("format", "\"float-quantized\": FP8 with its scales");
  }
  const nlohmann::json* groups = quantization.object("config_groups");
  if (!groups) return;
  for (const auto& [name, group] : groups->items()) {
    const std::string where = quantization.name() + ": config_groups: " + name;
    const nlohmann::json* weights =
        group.is_object() ? Fields(group, where).object("weights") : nullptr;
    if (!weights) continue;
    const Fields fields(*weights, where + ": weights");
    if (fields.integer("num_bits", 1, 64) != 8) fields.refuse("num_bits", "8");
    if (fields.text("type", "float") != "float") fields.refuse("type", "\"float\"");
    if (!fields.flag("symmetric", true)) fields.refuse("symmetric", "true");
    const std::string strategy = fields.text("strategy", "channel");
    if (strategy != "channel" && strategy != "tensor" && strategy != "block") {
      fields.refuse("strategy", "\"channel\", \"tensor\" or \"block\"");
    }
  }
}

void check_quantization(const Fields& fields) {
  const nlohmann::json* object = fields.object("quantization_config");
  if (!object) return;
  const Fields quantization(*object, fields.name() + ": quantization_config");
  const std::string method = quantization.text("quant_method");
  if (method == "fp8") return check_fp8(quantization);
  if (method == "compressed-tensors") return check_compressed_tensors(quantization);
  quantization.refuse("quant_method", "\"fp8\" or \"compressed-tensors\"");
}

// A number that may stand in several places of the file, which must agree then.
class SaidOnce {
 public:
  SaidOnce(std::string key, double min, double max) : key_(std::move(key)), min_(min), max_(max) {}
  void take(const Fields& from) {
    if (!from.find(key_)) return;
    const double value = from.number(key_, min_, max_);
    if (value_ && *value_ != value) from.refuse(key_, "the value that is elsewhere in the file");
    value_ = value;
  }
  const std::optional<double>& value() const { return value_; }

 private:
  std::string key_;
  double min_;
  double max_;
  std::optional<double> value_;
};

// Newer files keep theta and the rotated share in rope_parameters; some write a rope_scaling of
// type "default", which scales nothing.
void read_rope(const Fields& fields, ModelConfig& config) {
  SaidOnce theta("rope_theta", 1.0, 1e12);
  SaidOnce rotated("partial_rotary_factor", 0.0, 1.0);
  theta.take(fields);
  rotated.take(fields);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const nlohmann::json* object = fields.object(key);
    if (!object) continue;
    const Fields rope(*object, fields.name() + ": " + key);
    for (const char* type : {"rope_type", "type"}) {
      if (rope.text(type, "default") != "default") {
        rope.refuse(type, "\"default\": scaled positions are not supported");
      }
    }
    theta.take(rope);
    rotated.take(rope);
    if (rope.find("factor") && rope.number("factor", 0.0, 1e6) != 1.0) {
      rope.refuse("factor", "none: scaled positions are not supported");
    }
  }
  if (!theta.value()) fields.refuse("rope_theta", "a number");
  config.rope_theta = *theta.value();
  const double share = rotated.value().value_or(0.25);
  config.rotary_dim = static_cast<int>(config.head_dim * share);
  if (config.rotary_dim < 2 || config.rotary_dim % 2 != 0) {
    throw Error(fields.name() + ": head_dim " + std::to_string(config.head_dim) +
                " and partial_rotary_factor " + std::to_string(share) + " rotate " +
                std::to_string(config.rotary_dim) + " dimensions; expected an even number above 0");
  }
}

// Older files of the second family have older names.
std::optional<LayerKind> layer_kind(const nlohmann::json& type) {
  if (type == "full_attention" || type == "attention") return LayerKind::full_attention;
  if (type == "linear_attention" || type == "mamba") return LayerKind::linear_attention;
  return std::nullopt;
}

std::vector<LayerKind> read_layers(const Fields& fields) {
  const auto count = static_cast<std::size_t>(fields.integer("num_hidden_layers", 1, max_layers));
  std::vector<LayerKind> layers;
  if (const nlohmann::json* types = fields.array("layer_types")) {
    if (types->size() != count) {
      fields.refuse("layer_types", std::to_string(count) + " entries, one for each layer");
    }
    for (const nlohmann::json& type : *types) {
      const std::optional<LayerKind> kind = layer_kind(type);
      if (!kind) {
        throw Error(fields.name() + ": \"layer_types\" has " + shown(type) +
                    "; expected \"full_attention\" or \"linear_attention\"");
      }
      layers.push_back(*kind);
    }
    return layers;
  }
  const auto interval =
      static_cast<std::size_t>(fields.integer("full_attention_interval", 1, max_layers));
  for (std::size_t layer = 1; layer <= count; ++layer) {
    layers.push_back(layer % interval == 0 ? LayerKind::full_attention
                                           : LayerKind::linear_attention);
  }
  return layers;
}

void check_divides(const std::string& name, const char* part, int divisor, const char* whole,
                   int count) {
  if (count % divisor == 0) return;
  throw Error(name + ": \"" + part + "\" is " + std::to_string(divisor) +
              ", which does not divide \"" + whole + "\", " + std::to_string(count));
}

void add_eos(const Fields& fields, std::vector<TokenId>& ids) {
  const nlohmann::json* value = fields.find("eos_token_id");
  if (!value) return;
  for (const nlohmann::json& id : value->is_array() ? *value : nlohmann::json::array({*value})) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= max_vocab) {
      fields.refuse("eos_token_id", "a token's number or a list of them");
    }
    const auto token = id.get<TokenId>();
    if (std::ranges::find(ids, token) == ids.end()) ids.push_back(token);
  }
}

// The fields that both families have.
void read_common(const Fields& fields, ModelConfig& config) {
  check_mathematics(fields);
  config.vocab_size = fields.integer("vocab_size", 1, max_vocab);
  config.hidden_size = fields.integer("hidden_size", 1, max_width);
  config.max_position_embeddings = fields.integer("max_position_embeddings", 1, max_positions);
  config.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps", 0.0, 1.0));
  config.layers = read_layers(fields);

  config.num_attention_heads = small(fields, "num_attention_heads", max_heads);
  config.num_key_value_heads = small(fields, "num_key_value_heads", max_heads);
  config.head_dim = small(fields, "head_dim", max_head_dim);
  check_divides(fields.name(), "num_key_value_heads", config.num_key_value_heads,
                "num_attention_heads", config.num_attention_heads);
  read_rope(fields, config);

  config.linear_num_key_heads = small(fields, "linear_num_key_heads", max_heads);
  config.linear_num_value_heads = small(fields, "linear_num_value_heads", max_heads);
  config.linear_key_head_dim = small(fields, "linear_key_head_dim", max_head_dim);
  config.linear_value_head_dim = small(fields, "linear_value_head_dim", max_head_dim);
  config.linear_conv_kernel_dim = small(fields, "linear_conv_kernel_dim", max_kernel);
  check_divides(fields.name(), "linear_num_key_heads", config.linear_num_key_heads,
                "linear_num_value_heads", config.linear_num_value_heads);
}

void read_experts(const Fields& fields, ModelConfig& config) {
  config.num_experts = small(fields, "num_experts", max_experts);
  config.num_experts_per_tok = small(fields, "num_experts_per_tok", config.num_experts);
  config.moe_intermediate_size = fields.integer("moe_intermediate_size", 1, max_width);
  config.shared_expert_intermediate_size =
      fields.integer("shared_expert_intermediate_size", 1, max_width);
}

ModelConfig read_qwen3_next(const Fields& fields) {
  check_qwen3_next(fields);
  check_quantization(fields);
  ModelConfig config;
  read_common(fields, config);
  read_experts(fields, config);
  config.tie_word_embeddings = fields.flag("tie_word_embeddings", false);
  config.norm_topk_prob = fields.flag("norm_topk_prob", true);
  return config;
}

bool read_tied(const Fields& outer, const Fields& text) {
  const bool tied = outer.flag("tie_word_embeddings", text.flag("tie_word_embeddings", false));
  if (text.flag("tie_word_embeddings", tied) != tied) {
    text.refuse("tie_word_embeddings", "the value that is elsewhere in the file");
  }
  return tied;
}

// `form`: "qwen3_5_moe" or "qwen3_5", without experts. The language model is described in
// text_config, beside a vision tower that is not run; saved without the tower, at the top.
ModelConfig read_qwen3_5(const Fields& outer, const std::string& form) {
  const nlohmann::json* inner = outer.object("text_config");
  const bool wrapped = outer.text("model_type") == form;
  if (wrapped && !inner) outer.refuse("text_config", "the language model's fields");
  const Fields text = wrapped ? Fields(*inner, outer.name() + ": text_config") : outer;
  if (text.text("model_type", form + "_text") != form + "_text") {
    text.refuse("model_type", '"' + form + "_text\"");
  }
  check_qwen3_5(text);
  check_quantization(outer);
  if (wrapped) check_quantization(text);

  ModelConfig config;
  read_common(text, config);
  config.tie_word_embeddings = read_tied(outer, text);
  config.delta_layout = DeltaLayout::plain;
  config.num_mtp_layers = static_cast<int>(text.integer("mtp_num_hidden_layers", 0, max_layers, 0));
  if (form == "qwen3_5") {
    config.intermediate_size = text.integer("intermediate_size", 1, max_width);
  } else {
    read_experts(text, config);
  }
  return config;
}

}  // namespace

ModelConfig parse_config(const std::string& json, const std::string& name_for_errors) {
  const nlohmann::json document = parse_json(json, name_for_errors);
  const Fields fields(document, name_for_errors);
  const std::string type = fields.text("model_type");
  if (type == "qwen3_next") return read_qwen3_next(fields);
  for (const std::string form : {"qwen3_5_moe", "qwen3_5"}) {
    if (type == form || type == form + "_text") return read_qwen3_5(fields, form);
  }
  fields.refuse("model_type",
                "\"qwen3_next\", \"qwen3_5_moe\" or \"qwen3_5\", the architectures hearth runs");
}

ModelConfig read_config(const std::filesystem::path& directory) {
  std::error_code ignored;  // what cannot be looked at is no directory to us
  if (!std::filesystem::is_directory(directory, ignored)) {
    throw Error(directory.string() +
                ": no such directory; a model is a directory with config.json, tokenizer.json and "
                "safetensors files");
  }
  const std::filesystem::path path = directory / "config.json";
  return parse_config(read_text(path, max_config_bytes), path.string());
}

GenerationDefaults read_generation_defaults(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "generation_config.json";
  GenerationDefaults defaults;
  if (file_exists(path)) {
    const nlohmann::json document = parse_json(read_text(path, max_config_bytes), path.string());
    const Fields fields(document, path.string());
    defaults.says_sampling =
        std::ranges::any_of(std::array{"do_sample", "temperature", "top_k", "top_p", "min_p"},
                            [&](const char* key) { return fields.find(key) != nullptr; });
    defaults.do_sample = fields.flag("do_sample", defaults.do_sample);
    defaults.temperature = static_cast<float>(fields.number("temperature", 0.0, 100.0, 1.0));
    defaults.top_k = static_cast<int>(fields.integer("top_k", 0, max_vocab, 0));
    defaults.top_p = static_cast<float>(fields.number("top_p", 0.0, 1.0, 1.0));
    defaults.min_p = static_cast<float>(fields.number("min_p", 0.0, 1.0, 0.0));
    defaults.repetition_penalty =
        static_cast<float>(fields.number("repetition_penalty", 0.01, 100.0, 1.0));
    add_eos(fields, defaults.eos);
  }
  const std::filesystem::path config = directory / "config.json";
  if (!file_exists(config)) return defaults;
  const nlohmann::json document = parse_json(read_text(config, max_config_bytes), config.string());
  const Fields outer(document, config.string());
  add_eos(outer, defaults.eos);
  if (const nlohmann::json* text = outer.object("text_config")) {
    add_eos(Fields(*text, outer.name() + ": text_config"), defaults.eos);
  }
  return defaults;
}

}  // namespace hearth::engine
