// config.json and generation_config.json: every field checked before anything is sized by it.
#include "engine/checkpoint/model_config.hpp"

#include <optional>
#include <system_error>

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

void check_supported(const Fields& fields) {
  if (fields.text("model_type") != "qwen3_next") {
    fields.refuse("model_type", "\"qwen3_next\", the only architecture hearth runs");
  }
  if (fields.text("hidden_act", "silu") != "silu") fields.refuse("hidden_act", "\"silu\"");
  if (fields.flag("attention_bias", false)) fields.refuse("attention_bias", "false");
  const nlohmann::json* dense = fields.array("mlp_only_layers");
  if (dense && !dense->empty()) {
    fields.refuse("mlp_only_layers", "none: every layer must have experts");
  }
  if (fields.integer("decoder_sparse_step", 0, max_layers, 1) != 1) {
    fields.refuse("decoder_sparse_step", "1: every layer must have experts");
  }
}

void check_quantization(const Fields& fields) {
  const nlohmann::json* object = fields.object("quantization_config");
  if (!object) return;
  const Fields quantization(*object, fields.name() + ": quantization_config");
  if (quantization.text("quant_method") != "fp8") quantization.refuse("quant_method", "\"fp8\"");
  if (quantization.text("fmt", "e4m3") != "e4m3") quantization.refuse("fmt", "\"e4m3\"");
  const nlohmann::json* block = quantization.array("weight_block_size");
  if (!block || *block != nlohmann::json({128, 128})) {
    quantization.refuse("weight_block_size", "[128, 128]");
  }
}

// Newer files keep theta and the rotated share in rope_parameters; some write a rope_scaling of
// type "default", which scales nothing.
void read_rope(const Fields& fields, ModelConfig& config) {
  std::optional<double> theta;
  double share = fields.number("partial_rotary_factor", 0.0, 1.0, 0.25);
  const auto take_theta = [&](const Fields& from) {
    if (!from.find("rope_theta")) return;
    const double value = from.number("rope_theta", 1.0, 1e12);
    if (theta && *theta != value) {
      from.refuse("rope_theta", "the value that is elsewhere in the file");
    }
    theta = value;
  };

  take_theta(fields);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const nlohmann::json* object = fields.object(key);
    if (!object) continue;
    const Fields rope(*object, fields.name() + ": " + key);
    for (const char* type : {"rope_type", "type"}) {
      if (rope.text(type, "default") != "default") {
        rope.refuse(type, "\"default\": scaled positions are not supported");
      }
    }
    take_theta(rope);
    if (rope.find("factor") && rope.number("factor", 0.0, 1e6) != 1.0) {
      rope.refuse("factor", "none: scaled positions are not supported");
    }
    share = rope.number("partial_rotary_factor", 0.0, 1.0, share);
  }
  if (!theta) fields.refuse("rope_theta", "a number");
  config.rope_theta = *theta;
  config.rotary_dim = static_cast<int>(config.head_dim * share);
  if (config.rotary_dim < 2 || config.rotary_dim % 2 != 0) {
    throw Error(fields.name() + ": head_dim " + std::to_string(config.head_dim) +
                " and partial_rotary_factor " + std::to_string(share) + " rotate " +
                std::to_string(config.rotary_dim) + " dimensions; expected an even number above 0");
  }
}

std::vector<LayerKind> read_layers(const Fields& fields) {
  const auto count = static_cast<std::size_t>(fields.integer("num_hidden_layers", 1, max_layers));
  std::vector<LayerKind> layers;
  if (const nlohmann::json* types = fields.array("layer_types")) {
    if (types->size() != count) {
      fields.refuse("layer_types", std::to_string(count) + " entries, one for each layer");
    }
    for (const nlohmann::json& type : *types) {
      if (type == "full_attention")
        layers.push_back(LayerKind::full_attention);
      else if (type == "linear_attention")
        layers.push_back(LayerKind::linear_attention);
      else
        throw Error(fields.name() + ": \"layer_types\" has " + shown(type) +
                    "; expected \"full_attention\" or \"linear_attention\"");
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

std::vector<TokenId> read_eos(const Fields& fields) {
  const nlohmann::json* value = fields.find("eos_token_id");
  if (!value) return {};
  std::vector<TokenId> ids;
  for (const nlohmann::json& id : value->is_array() ? *value : nlohmann::json::array({*value})) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= max_vocab) {
      fields.refuse("eos_token_id", "a token's number or a list of them");
    }
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

}  // namespace

ModelConfig parse_config(const std::string& json, const std::string& name_for_errors) {
  const nlohmann::json document = parse_json(json, name_for_errors);
  const Fields fields(document, name_for_errors);
  check_supported(fields);
  check_quantization(fields);

  ModelConfig config;
  config.vocab_size = fields.integer("vocab_size", 1, max_vocab);
  config.hidden_size = fields.integer("hidden_size", 1, max_width);
  config.max_position_embeddings = fields.integer("max_position_embeddings", 1, max_positions);
  config.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps", 0.0, 1.0));
  config.tie_word_embeddings = fields.flag("tie_word_embeddings", false);
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

  config.num_experts = small(fields, "num_experts", max_experts);
  config.num_experts_per_tok = small(fields, "num_experts_per_tok", config.num_experts);
  config.moe_intermediate_size = fields.integer("moe_intermediate_size", 1, max_width);
  config.shared_expert_intermediate_size =
      fields.integer("shared_expert_intermediate_size", 1, max_width);
  config.norm_topk_prob = fields.flag("norm_topk_prob", true);
  return config;
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
    defaults.do_sample = fields.flag("do_sample", defaults.do_sample);
    defaults.temperature = static_cast<float>(fields.number("temperature", 0.0, 100.0, 1.0));
    defaults.top_k = static_cast<int>(fields.integer("top_k", 0, max_vocab, 0));
    defaults.top_p = static_cast<float>(fields.number("top_p", 0.0, 1.0, 1.0));
    defaults.min_p = static_cast<float>(fields.number("min_p", 0.0, 1.0, 0.0));
    defaults.repetition_penalty =
        static_cast<float>(fields.number("repetition_penalty", 0.01, 100.0, 1.0));
    defaults.eos = read_eos(fields);
  }
  if (defaults.eos.empty()) {
    const std::filesystem::path config = directory / "config.json";
    const nlohmann::json document =
        parse_json(read_text(config, max_config_bytes), config.string());
    defaults.eos = read_eos(Fields(document, config.string()));
  }
  return defaults;
}

}  // namespace hearth::engine
