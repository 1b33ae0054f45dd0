// Checkpoints that cannot be run: each is refused with a sentence that names what is wrong.
#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/engine.hpp"
#include "tests/engine/checkpoint/changed_copy.hpp"

namespace hearth::tests {

using namespace engine;
using namespace copies;
using nlohmann::json;

TEST_CASE("a directory that does not exist") {
  EngineOptions options;
  options.model = "/nowhere/at/all";
  CHECK_THROWS_WITH_AS(Runtime::load(options),
                       "there is no model directory /nowhere/at/all; give the directory that holds "
                       "config.json and the "
                       "safetensors files",
                       Error);
}

TEST_CASE("a copied checkpoint loads") {
  CHECK(Copy("bf16-tied").refusal().empty());
}

TEST_CASE("a config that asks for other shapes than the tensors have") {
  const Copy copy("bf16-mtp-single");
  copy.edit_config([](json& config) { config["moe_intermediate_size"] = 32; });
  const std::string message = copy.refusal();
  CAPTURE(message);
  CHECK(names(message, "experts.0.gate_proj.weight"));
  CHECK(names(message, "[64, 128]"));
  CHECK(names(message, "[32, 128]"));
}

TEST_CASE("a tensor that is missing") {
  const Copy copy("bf16-mtp-single");
  copy.edit_header("model.safetensors", [](json& header) {
    header["model.layers.1.mlp.gone.weight"] = header["model.layers.1.mlp.gate.weight"];
    header.erase("model.layers.1.mlp.gate.weight");
  });
  const std::string message = copy.refusal();
  CAPTURE(message);
  CHECK(names(message, "model.layers.1.mlp.gate.weight"));
}

TEST_CASE("fewer layers than the files have, or an output matrix that would not be used") {
  for (const char* const name : {"fp8", "bf16-tied", "bf16-mtp-single"}) {
    const Copy copy(name);
    copy.edit_config([](json& config) {
      config["num_hidden_layers"] = config["num_hidden_layers"].get<int>() - 1;
      if (config.contains("layer_types")) config["layer_types"].erase(0);
    });
    const std::string message = copy.refusal();
    CAPTURE(message);
    CHECK(names(message, copy.directory.path().string()));
    CHECK(names(message, "num_hidden_layers"));
    CHECK(names(message, "download config.json again"));
  }
  const Copy copy("fp8");
  copy.edit_config([](json& config) { config["tie_word_embeddings"] = true; });
  const std::string message = copy.refusal();
  CAPTURE(message);
  CHECK(names(message, ".safetensors: there is a tensor lm_head.weight"));
  CHECK(names(message, "tie_word_embeddings"));
}

TEST_CASE("a link to a file that is gone is no missing file") {
  for (const char* const name :
       {"config.json", "generation_config.json", "hearth.json", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "model.safetensors.index.json",
        "model-00002-of-00002.safetensors"}) {
    const Copy copy(std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember");
    CHECK(copy.refusal().empty());
    std::filesystem::remove(copy.file(name));
    std::filesystem::create_symlink("../blobs/0123abcd", copy.file(name));
    const std::string message = copy.refusal();
    CAPTURE(message);
    CHECK(names(message, copy.file(name).string()));
    CHECK(names(message, "../blobs/0123abcd"));
    CHECK(names(message, "Download the file again"));
  }
}

TEST_CASE("tensors that nobody asked for are listed, harmless ones aside") {
  const auto listed = [](const Copy& copy) {
    EngineOptions options;
    options.model = copy.directory.path();
    const auto runtime = Runtime::load(options);
    std::string all;
    for (const std::string& note : runtime->engine().notes()) {
      if (names(note, "does not use")) all += note;
    }
    return all;
  };
  CHECK(listed(Copy("fp8")) == "");
  CHECK(listed(Copy("bf16-mtp-single")) == "");  // its head is left out on purpose

  const Copy copy("bf16-mtp-single");
  copy.edit_header("model.safetensors", [](json& header) {
    const json tensor = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
    for (const char* const name :
         {"visual.blocks.0.weight", "model.layers.0.mlp.experts.4000.up_proj.weight",
          "model.layers.1.mlp.gate.bias", "model.layers.0.self_attn.rotary_emb.inv_freq"})
      header[name] = tensor;
  });
  const std::string note = listed(copy);
  CAPTURE(note);
  CHECK(names(note,
              ": model.layers.0.mlp.experts.4000.up_proj.weight, model.layers.1.mlp.gate.bias, "
              "visual.blocks.0.weight"));
  CHECK(!names(note, "inv_freq"));
}

TEST_CASE("a quantised tensor without its scale") {
  const Copy copy("fp8");
  const std::string scale = "model.layers.0.mlp.shared_expert.up_proj.weight_scale_inv";
  json index = json::parse(slurp(copy.file("model.safetensors.index.json")));
  const std::string shard = index["weight_map"][scale];
  index["weight_map"].erase(scale);
  spill(copy.file("model.safetensors.index.json"), index.dump());
  copy.edit_header(shard.c_str(), [&](json& header) {
    header["another"] = header[scale];
    header.erase(scale);
  });
  const std::string message = copy.refusal();
  CAPTURE(message);
  CHECK(names(message, scale));
}

TEST_CASE("a scale that is no number") {
  for (const char* const name : {"model.layers.0.mlp.shared_expert.up_proj.weight_scale_inv",
                                 "model.layers.0.mlp.experts.0.up_proj.weight_scale_inv"}) {
    const Copy copy("fp8");
    const json index = json::parse(slurp(copy.file("model.safetensors.index.json")));
    const auto path = copy.file(std::string(index["weight_map"][name]).c_str());
    std::string bytes = slurp(path);
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
    const json tensor = json::parse(bytes.substr(8, header_bytes))[name];
    const std::size_t begin = 8 + header_bytes + tensor["data_offsets"][0].get<std::size_t>();
    const std::size_t end = 8 + header_bytes + tensor["data_offsets"][1].get<std::size_t>();
    // All ones are NaN in every format that a scale may have.
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
              bytes.begin() + static_cast<std::ptrdiff_t>(end), '\xff');
    spill(path, bytes);
    const std::string message = copy.refusal();
    CAPTURE(message);
    CHECK(names(message, name));
    CHECK(names(message, "2^64"));
  }
}

TEST_CASE("a shard that is missing") {
  const Copy copy("fp8");
  std::filesystem::remove(copy.file("model-00002-of-00002.safetensors"));
  CHECK(names(copy.refusal(), "model-00002-of-00002.safetensors"));
}

TEST_CASE("a shard that was cut") {
  const Copy copy("fp8");
  const auto path = copy.file("model-00001-of-00002.safetensors");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  CHECK(names(copy.refusal(), "model-00001-of-00002.safetensors"));
}

TEST_CASE("a context beyond the model's positions") {
  EngineOptions options;
  options.model = golden / "bf16-tied";
  options.context = 1 << 20;
  CHECK_THROWS_WITH_AS(Runtime::load(options),
                       "context 1048576 is more than the model's max_position_embeddings, 8192",
                       Error);
}

TEST_CASE("loading can be stopped") {
  EngineOptions options;
  options.model = golden / "fp8";
  const std::atomic<bool> stop = true;
  CHECK_THROWS_WITH_AS(Runtime::load(options, {}, &stop), "loading the model was cancelled", Error);
}

}  // namespace hearth::tests
