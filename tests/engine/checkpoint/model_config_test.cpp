// config.json and generation_config.json: what is accepted, and what each refusal says.
#include "engine/checkpoint/model_config.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/engine/files.hpp"

namespace hearth::engine {
namespace {

const std::filesystem::path source = HEARTH_SOURCE_DIR;

nlohmann::json ember() {
  return nlohmann::json::parse(read_text(source / "engine/ember/config.json", 1'000'000));
}

std::string refusal(const nlohmann::json& config) {
  return error_of([&] { parse_config(config.dump(), "DIR/config.json"); });
}

// The refusal of ember's config with one field changed; it must name the file and the field.
std::string refusal(const std::string& field, const nlohmann::json& value) {
  nlohmann::json config = ember();
  config[field] = value;
  const std::string message = refusal(config);
  CAPTURE(field);
  CAPTURE(message);
  CHECK(contains(message, "DIR/config.json"));
  CHECK(contains(message, field));
  return message;
}

TEST_CASE("ember's config is read in full") {
  const ModelConfig config = read_config(source / "engine/ember");
  CHECK(config.vocab_size == 4096);
  CHECK(config.hidden_size == 256);
  CHECK(config.max_position_embeddings == 2048);
  CHECK(config.rms_norm_eps == doctest::Approx(1e-6));
  CHECK_FALSE(config.tie_word_embeddings);
  CHECK(config.num_layers() == 8);
  CHECK(config.layers[2] == LayerKind::linear_attention);
  CHECK(config.layers[3] == LayerKind::full_attention);
  CHECK(config.layers[7] == LayerKind::full_attention);
  CHECK(config.num_attention_heads == 4);
  CHECK(config.num_key_value_heads == 2);
  CHECK(config.head_dim == 64);
  CHECK(config.rotary_dim == 16);
  CHECK(config.rope_theta == 100000.0);
  CHECK(config.linear_num_key_heads == 2);
  CHECK(config.linear_num_value_heads == 4);
  CHECK(config.linear_key_head_dim == 64);
  CHECK(config.linear_value_head_dim == 64);
  CHECK(config.linear_conv_kernel_dim == 4);
  CHECK(config.num_experts == 32);
  CHECK(config.num_experts_per_tok == 4);
  CHECK(config.moe_intermediate_size == 64);
  CHECK(config.shared_expert_intermediate_size == 128);
  CHECK(config.norm_topk_prob);
}

TEST_CASE("every golden checkpoint's config is accepted") {
  for (const auto& entry : std::filesystem::directory_iterator(source / "tests/golden")) {
    if (entry.is_directory()) CHECK_NOTHROW(read_config(entry.path()));
  }
}

TEST_CASE("layer_types decides over full_attention_interval") {
  const ModelConfig config = read_config(source / "tests/golden/fp8-odd-bf16-scales");
  CHECK(config.layers == std::vector{LayerKind::full_attention, LayerKind::linear_attention,
                                     LayerKind::full_attention, LayerKind::linear_attention,
                                     LayerKind::linear_attention});
  CHECK(config.rotary_dim == 20);
}

TEST_CASE("rope values may stand in rope_parameters") {
  nlohmann::json config = ember();
  config.erase("rope_theta");
  config.erase("partial_rotary_factor");
  config["rope_parameters"] = {
      {"rope_type", "default"}, {"rope_theta", 5e6}, {"partial_rotary_factor", 0.5}};
  const ModelConfig read = parse_config(config.dump(), "c");
  CHECK(read.rope_theta == 5e6);
  CHECK(read.rotary_dim == 32);
}

TEST_CASE("a rope_scaling of type default changes nothing") {
  nlohmann::json config = ember();
  config["rope_scaling"] = {{"type", "default"}, {"rope_theta", 100000.0}};
  CHECK(parse_config(config.dump(), "c").rope_theta == 100000.0);
}

TEST_CASE("what hearth does not do is refused with the field and its value") {
  CHECK(contains(refusal("model_type", "llama"), "\"llama\""));
  CHECK(contains(refusal("hidden_act", "gelu"), "\"gelu\""));
  CHECK(contains(refusal("attention_bias", true), "true"));
  CHECK(contains(refusal("mlp_only_layers", {0, 3}), "[0,3]"));
  CHECK(contains(refusal("decoder_sparse_step", 2), "2"));
  CHECK(contains(refusal("rope_scaling", {{"type", "yarn"}, {"factor", 4.0}}), "\"yarn\""));
  CHECK(contains(refusal("rope_scaling", {{"rope_type", "linear"}}), "\"linear\""));
  CHECK(contains(refusal("rope_parameters", {{"rope_type", "yarn"}}), "\"yarn\""));
  CHECK(contains(refusal("rope_parameters", {{"rope_theta", 5.0}}), "5.0"));
}

TEST_CASE("another quantisation is refused") {
  const auto with = [](const std::string& field, const nlohmann::json& value) {
    nlohmann::json config = ember();
    config["quantization_config"][field] = value;
    return refusal(config);
  };
  CHECK(contains(with("quant_method", "awq"), "quantization_config: \"quant_method\" is \"awq\""));
  CHECK(contains(with("fmt", "e5m2"), "\"fmt\" is \"e5m2\""));
  CHECK(contains(with("weight_block_size", {64, 64}), "\"weight_block_size\" is [64,64]"));
  CHECK(contains(with("weight_block_size", nullptr), "\"weight_block_size\" is null"));
}

TEST_CASE("numbers out of range and of the wrong type are refused") {
  for (const char* field :
       {"vocab_size", "hidden_size", "max_position_embeddings", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "linear_num_key_heads",
        "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim",
        "linear_conv_kernel_dim", "num_experts", "num_experts_per_tok", "moe_intermediate_size",
        "shared_expert_intermediate_size"}) {
    for (const nlohmann::json& value :
         {nlohmann::json(0), nlohmann::json(-1), nlohmann::json(1.5), nlohmann::json("8"),
          nlohmann::json(1e300), nlohmann::json(UINT64_MAX), nlohmann::json(true),
          nlohmann::json::array({8})}) {
      CHECK(contains(refusal(field, value), "expected a whole number from 1 to"));
    }
    nlohmann::json without = ember();
    without.erase(field);
    CHECK(contains(refusal(without), "the field \"" + std::string(field) + "\" is missing"));
  }
  refusal("rms_norm_eps", -1.0);
  refusal("rope_theta", 0);
  refusal("partial_rotary_factor", 1.5);
  refusal("partial_rotary_factor", 0.01);
  refusal("norm_topk_prob", "yes");
  refusal("tie_word_embeddings", 1);
}

TEST_CASE("counts that do not fit each other are refused") {
  CHECK(contains(refusal("num_key_value_heads", 3), "does not divide"));
  CHECK(contains(refusal("linear_num_key_heads", 3), "does not divide"));
  CHECK(contains(refusal("num_experts_per_tok", 33), "from 1 to 32"));
  CHECK(contains(refusal("layer_types", {"full_attention"}), "8 entries"));
  CHECK(contains(refusal("layer_types", std::vector<std::string>(8, "sliding_attention")),
                 "\"sliding_attention\""));
}

TEST_CASE("text that is no config is refused by name") {
  const auto message = [](const std::string& text) {
    return error_of([&] { parse_config(text, "DIR/config.json"); });
  };
  CHECK(contains(message(""), "DIR/config.json: not valid JSON"));
  CHECK(contains(message("{\"model_type\": "), "not valid JSON at byte"));
  CHECK(contains(message("[1, 2]"), "expected a JSON object"));
  CHECK(contains(message("{\"a\": 1, \"a\": 2}"), "\"a\" is twice"));
  CHECK(contains(message(std::string(100'000, '[')), "nested deeper"));
  CHECK(contains(message("{\"model_type\": \"\xff\"}"), "not valid JSON"));
}

TEST_CASE("a directory that is not there is named") {
  const std::string message = error_of([] { read_config("no/such/model"); });
  CHECK(contains(message, "no/such/model: no such directory"));
  const ScratchDirectory empty;
  CHECK(contains(error_of([&] { read_config(empty.path()); }), "config.json: cannot open"));
}

TEST_CASE("generation defaults come from generation_config.json") {
  const GenerationDefaults greedy = read_generation_defaults(source / "engine/ember");
  CHECK_FALSE(greedy.do_sample);
  CHECK(greedy.says_sampling);
  CHECK(greedy.eos == std::vector<TokenId>{4072, 4070});

  const ScratchDirectory directory;
  directory.write("generation_config.json",
                  R"({"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20,
                      "eos_token_id": 7, "repetition_penalty": null, "min_p": 0.05})");
  const GenerationDefaults sampled = read_generation_defaults(directory.path());
  CHECK(sampled.do_sample);
  CHECK(sampled.temperature == 0.7f);
  CHECK(sampled.top_p == 0.8f);
  CHECK(sampled.top_k == 20);
  CHECK(sampled.min_p == 0.05f);
  CHECK(sampled.repetition_penalty == 1.0f);
  CHECK(sampled.eos == std::vector<TokenId>{7});
  CHECK(sampled.says_sampling);

  directory.write("generation_config.json", R"({"eos_token_id": 7, "max_new_tokens": 9})");
  CHECK_FALSE(read_generation_defaults(directory.path()).says_sampling);
}

TEST_CASE("without generation_config.json the end is config.json's") {
  const ScratchDirectory directory;
  directory.write("config.json", R"({"eos_token_id": [3, 4]})");
  const GenerationDefaults defaults = read_generation_defaults(directory.path());
  CHECK(defaults.eos == std::vector<TokenId>{3, 4});
  CHECK_FALSE(defaults.do_sample);
}

TEST_CASE("bad generation defaults are refused by name") {
  const ScratchDirectory directory;
  const auto message = [&](const std::string& text) {
    directory.write("generation_config.json", text);
    return error_of([&] { read_generation_defaults(directory.path()); });
  };
  CHECK(contains(message(R"({"temperature": -1})"), "\"temperature\" is -1"));
  CHECK(contains(message(R"({"top_p": 2})"), "\"top_p\" is 2"));
  CHECK(contains(message(R"({"top_k": "many"})"), "\"top_k\" is \"many\""));
  CHECK(contains(message(R"({"eos_token_id": "stop"})"), "\"eos_token_id\" is \"stop\""));
  CHECK(contains(message(R"({"eos_token_id": [1, -2]})"), "\"eos_token_id\""));
}

}  // namespace
}  // namespace hearth::engine
