// The second family, Qwen3.5 and Qwen3.6: what its configurations may say, how its tensors are
// found, and what a model without experts does.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/checkpoint/digest.hpp"
#include "engine/checkpoint/model_config.hpp"
#include "engine/engine.hpp"
#include "engine/experts/store.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"
#include "engine/measure/cost.hpp"
#include "engine/measure/kernel_speed.hpp"
#include "engine/measure/measurements.hpp"
#include "tests/engine/checkpoint/changed_copy.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using namespace copies;
using nlohmann::json;

json config_of(const char* checkpoint) {
  return json::parse(slurp(golden / checkpoint / "config.json"));
}

std::string refusal(const json& config) {
  return error_of([&] { parse_config(config.dump(), "DIR/config.json"); });
}

// That of the wrapped form with one field of text_config changed; it must name file and field.
std::string refusal(const std::string& field, const json& value) {
  json config = config_of("q35moe-fp8");
  config["text_config"][field] = value;
  const std::string message = refusal(config);
  CAPTURE(field);
  CAPTURE(message);
  CHECK(contains(message, "DIR/config.json: text_config"));
  CHECK(contains(message, field));
  return message;
}

std::vector<TokenId> some_tokens(std::size_t count) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<TokenId>((i * 37 + i / 5) % 200);
  return tokens;
}

EngineOptions options_for(const std::filesystem::path& model) {
  EngineOptions options;
  options.model = model;
  options.host().threads = 2;
  return options;
}

std::string notes_of(const Engine& engine) {
  std::string all;
  for (const std::string& note : engine.notes()) all += note + "\n";
  return all;
}

}  // namespace

TEST_CASE("a configuration of the second family is read in both forms") {
  const ModelConfig wrapped = read_config(golden / "q35moe-fp8");
  CHECK(wrapped.delta_layout == DeltaLayout::plain);
  CHECK(wrapped.num_experts == 8);
  CHECK(wrapped.num_experts_per_tok == 3);
  CHECK(wrapped.norm_topk_prob);
  CHECK(wrapped.num_mtp_layers == 1);
  CHECK_FALSE(wrapped.is_dense());
  CHECK_FALSE(wrapped.tie_word_embeddings);
  CHECK(wrapped.rotary_dim == 16);

  const ModelConfig text = read_config(golden / "q35moe-text");
  CHECK(text.layers ==
        std::vector<LayerKind>{LayerKind::full_attention, LayerKind::linear_attention,
                               LayerKind::linear_attention, LayerKind::full_attention,
                               LayerKind::linear_attention});
  CHECK(text.rope_theta == 1'000'000.0);  // beside rope_parameters
  CHECK(text.num_mtp_layers == 0);

  const ModelConfig dense = read_config(golden / "q35-tied");
  CHECK(dense.is_dense());
  CHECK(dense.intermediate_size == 224);
  CHECK(dense.tie_word_embeddings);
  CHECK(dense.num_experts_per_tok == 0);
}

TEST_CASE("what the second family's configurations may say otherwise is accepted") {
  json config = config_of("q35moe-fp8");
  config["text_config"]["output_gate_type"] = "swish";
  config["text_config"]["layer_types"] = {"mamba", "mamba", "linear_attention", "attention"};
  config["text_config"]["partial_rotary_factor"] = 0.25;  // as in rope_parameters
  config["text_config"].erase("attn_output_gate");
  config["text_config"]["tie_word_embeddings"] = false;  // as at the top
  config["text_config"]["mtp_num_hidden_layers"] = 3;
  const ModelConfig read = parse_config(config.dump(), "");
  CHECK(read.layers.back() == LayerKind::full_attention);
  CHECK(read.layers.front() == LayerKind::linear_attention);
  CHECK(read.num_mtp_layers == 3);
}

TEST_CASE("what the second family could say and hearth does not run is refused by name") {
  CHECK(contains(refusal("attn_output_gate", false), "expected true"));
  CHECK(contains(refusal("output_gate_type", "relu"), "\"relu\""));
  CHECK(contains(refusal("mamba_ssm_dtype", "bfloat16"), "\"float32\""));
  CHECK(contains(refusal("mtp_use_dedicated_embeddings", true), "expected false"));
  CHECK(contains(refusal("layer_scale", true), "expected false"));
  CHECK(contains(refusal("attention_bias", true), "expected false"));
  CHECK(contains(refusal("hidden_act", "gelu"), "\"silu\""));
  CHECK(contains(refusal("model_type", "qwen3_next"), "\"qwen3_5_moe_text\""));
  CHECK(contains(refusal("tie_word_embeddings", true), "elsewhere in the file"));
  CHECK(contains(refusal("partial_rotary_factor", 0.5), "0.25; expected the value"));
  CHECK(contains(refusal("num_experts", 0), "from 1 to"));
  CHECK(contains(refusal("rope_parameters", {{"rope_type", "yarn"}}), "\"yarn\""));

  json config = config_of("q35moe-fp8");
  config.erase("text_config");
  CHECK(contains(refusal(config), "\"text_config\" is missing"));
  config["model_type"] = "qwen3_6";
  CHECK(contains(refusal(config), "\"qwen3_next\", \"qwen3_5_moe\" or \"qwen3_5\""));
}

TEST_CASE("of the forms that compressed-tensors has, FP8 with its scales is run") {
  const auto with = [](const char* field, const json& value) {
    json config = config_of("q35moe-channel");
    json& quantization = config["quantization_config"];
    if (std::string(field) == "format")
      quantization[field] = value;
    else
      quantization["config_groups"]["group_0"]["weights"][field] = value;
    return refusal(config);
  };
  for (const char* strategy : {"channel", "tensor", "block"})
    CHECK(with("strategy", strategy) == "");
  CHECK(contains(with("strategy", "group"), "group_0: weights: \"strategy\" is \"group\""));
  CHECK(contains(with("num_bits", 4), "\"num_bits\" is 4"));
  CHECK(contains(with("type", "int"), "\"type\" is \"int\""));
  CHECK(contains(with("symmetric", false), "\"symmetric\" is false"));
  CHECK(contains(with("format", "pack-quantized"), "\"format\" is \"pack-quantized\""));
}

TEST_CASE("a generation ends at what any of the files names") {
  const auto eos = [](const json& config, const json& generation) {
    const ScratchDirectory directory;
    directory.write("config.json", config.dump());
    directory.write("generation_config.json", generation.dump());
    return read_generation_defaults(directory.path()).eos;
  };
  const json wrapped = {{"eos_token_id", 4}, {"text_config", {{"eos_token_id", 5}}}};
  CHECK(eos(wrapped, {{"eos_token_id", {6, 5}}}) == std::vector<TokenId>{6, 5, 4});
  CHECK(eos(wrapped, json::object()) == std::vector<TokenId>{4, 5});
}

TEST_CASE("the vision tower is skipped, unread, and nothing else of a checkpoint is") {
  for (const char* name : {"q35moe-fp8", "q35moe-bf16-fused", "q35moe-channel", "q35-fp8"}) {
    CAPTURE(name);
    const Copy copy(name);
    EngineOptions options = options_for(copy.directory.path());
    options.mtp = MtpUse::always;
    const auto runtime = Runtime::load(options);
    CHECK(runtime->engine().model().unused.empty());
    CHECK(runtime->engine().model().skipped == 5);
    CHECK(contains(notes_of(runtime->engine()), "5 tensors of the vision tower are skipped"));
  }
}

TEST_CASE("a head of several layers is not run, and that is said") {
  const Copy copy("q35moe-fp8");
  copy.edit_config([](json& config) { config["text_config"]["mtp_num_hidden_layers"] = 2; });
  EngineOptions options = options_for(copy.directory.path());
  options.mtp = MtpUse::always;
  const auto runtime = Runtime::load(options);
  CHECK_FALSE(runtime->engine().has_mtp());
  CHECK(contains(notes_of(runtime->engine()), "\"mtp_num_hidden_layers\" is 2"));
}

// One tensor's entry of the shard that has it is changed.
namespace {
std::string refusal_of(const char* checkpoint, const std::string& tensor,
                       const std::function<void(json& header)>& change) {
  const Copy copy(checkpoint);
  const json index = json::parse(slurp(copy.file("model.safetensors.index.json")));
  copy.edit_header(index["weight_map"][tensor].get<std::string>().c_str(), change);
  return copy.refusal();
}
}  // namespace

TEST_CASE("a weight whose scales are of no known form is refused by name") {
  const std::string weight = "model.language_model.layers.0.mlp.shared_expert.up_proj.weight";
  const std::string scale = weight + "_scale";
  const std::string flat =
      refusal_of("q35moe-channel", scale, [&](json& header) { header[scale]["shape"] = {96}; });
  CHECK(contains(flat, scale + " has shape [96]"));
  CHECK(contains(flat, "[96, 1]"));

  const std::string expert = "model.language_model.layers.1.mlp.experts.3.up_proj.weight_scale";
  CHECK(contains(refusal_of("q35moe-channel", expert,
                            [&](json& header) {
                              header[expert]["shape"] = {1, 160};
                            }),
                 expert + " has shape [1, 160]"));

  const std::string fused = "model.language_model.layers.0.mlp.experts.gate_up_proj";
  const std::string quantised = refusal_of("q35moe-bf16-fused", fused, [&](json& header) {
    header[fused]["dtype"] = "F8_E4M3";
    header[fused]["shape"] = {10, 96, 320};
  });
  CHECK(contains(quantised, fused));
}

TEST_CASE("experts that are fused in one tensor are read one by one, each byte once") {
  const std::filesystem::path directory = golden / "q35moe-bf16-fused";
  const ModelConfig config = read_config(directory);
  const Tensors tensors = Tensors::open(directory);
  const std::string prefix = "model.language_model.layers.1.mlp.experts.";
  const ExpertStore store(tensors, config, {prefix});
  REQUIRE(store.size() == 10);
  const std::uint64_t expert = 3 * 48 * 160 * 2;
  CHECK(store.expert_bytes() == expert);
  std::vector<std::byte> slot(store.slot_bytes());
  for (ExpertStore::Key key = 0; key < 10; ++key) {
    const std::vector<Read> reads = store.reads(key, slot);
    std::uint64_t bytes = 0;
    for (const Read& read : reads) bytes += read.to.size();
    CHECK(reads.size() <= 2);
    CHECK(bytes <= expert + 4 * direct_alignment);
    for (const Read& read : reads) read.file->read(read.offset, read.to.first(read.min_bytes));
    const auto parts = store.parts(key, slot);
    const auto check = [&](const char* name, std::uint64_t offset,
                           std::span<const std::byte> part) {
      std::vector<std::byte> expected(part.size());
      tensors.read(tensors.require(prefix + name), offset, expected);
      CHECK(std::ranges::equal(expected, part));
    };
    const auto number = static_cast<std::uint64_t>(key);
    check("gate_up_proj", number * expert / 3 * 2, parts[0]);
    check("gate_up_proj", number * expert / 3 * 2 + expert / 3, parts[1]);
    check("down_proj", number * expert / 3, parts[2]);
  }
  CHECK(contains(store.description(7, 2), "experts.down_proj, expert 7"));
}

TEST_CASE("a dense model has no experts to read, and an interruption loses nothing of it") {
  const EngineOptions options = options_for(golden / "q35-fp8");
  const auto runtime = Runtime::load(options);
  CHECK(runtime->experts().experts == 0);
  CHECK(runtime->experts().slots == 0);
  CHECK(runtime->memory().experts == 0);

  // What is measured and planned does without, too.
  const Costs costs = costs_of(runtime->engine().config(), WeightForm::fp8, true);
  CHECK(costs.all_expert_bytes() == 0);
  CHECK(resident_share(runtime->memory(), costs) == 1);
  CHECK(expert_seconds(*runtime) == 0);
  CHECK(disk_bandwidth(*runtime, 1) == 0);
  const MachineSpeed machine{.memory = 1e10, .disk = 0, .arithmetic = 1e11};
  const KernelSpeed kernels = usual_kernels(machine, WeightForm::fp8);
  CHECK(std::isfinite(decode_seconds(costs, machine, kernels, 1, false)));
  CHECK(std::isfinite(prefill_seconds(costs, machine, kernels, 1000, 1, 512)));
  const KernelSpeed here =
      measure_kernels(runtime->backend(), runtime->engine().config(), WeightForm::fp8);
  CHECK(here.products > 0);
  CHECK(here.gemm_flops(64) > 0);

  const std::vector<TokenId> tokens = some_tokens(600);  // several blocks of rows
  Session undisturbed(Runtime::load(options));
  undisturbed.sync(tokens);
  while (undisturbed.prefill(tokens, {}, nullptr) != Progress::done) {
  }
  Session session(runtime);
  session.sync(tokens);
  std::atomic<bool> interrupt = false;
  std::atomic<bool> stop = false;
  std::thread disturber([&] {
    for (int pause = 20; !stop; pause += pause / 8 + 1) {
      interrupt = true;
      std::this_thread::yield();
      interrupt = false;
      std::this_thread::sleep_for(std::chrono::microseconds(std::min(pause, 20'000)));
    }
  });
  while (session.prefill(tokens, {}, &interrupt) != Progress::done) {
  }
  stop = true;
  disturber.join();
  CHECK(session.tokens_computed() == tokens.size());
  CHECK(std::ranges::equal(session.logits(), undisturbed.logits()));
}

}  // namespace hearth::tests
