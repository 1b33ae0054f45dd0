// Checkpoint files: what a table holds, and that damage of any kind is an error with a name.
#include "engine/checkpoint/safetensors.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/engine/files.hpp"

namespace hearth::engine {
namespace {

const std::filesystem::path source = HEARTH_SOURCE_DIR;

std::string with_length(std::uint64_t length, const std::string& rest) {
  const auto bytes = std::bit_cast<std::array<char, 8>>(length);
  return std::string(bytes.begin(), bytes.end()) + rest;
}

std::string file_of(const std::string& header, std::size_t data_bytes) {
  return with_length(header.size(), header + std::string(data_bytes, '\x40'));
}

nlohmann::json entry(const std::string& dtype, const nlohmann::json& shape,
                     const nlohmann::json& begin, const nlohmann::json& end) {
  return {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, end}}};
}

Tensors open_bytes(const std::string& bytes) {
  std::vector<std::unique_ptr<File>> files;
  files.push_back(std::make_unique<MemoryFile>(bytes, "DIR/model.safetensors"));
  return Tensors::from_files(std::move(files));
}

std::string refusal(const std::string& bytes) {
  const std::string message = error_of([&] { open_bytes(bytes); });
  CAPTURE(message);
  CHECK(contains(message, "DIR/model.safetensors"));
  return message;
}

std::string refusal(const nlohmann::json& header, std::size_t data_bytes = 64) {
  return refusal(file_of(header.dump(), data_bytes));
}

TEST_CASE("ember's shards are one table") {
  const Tensors tensors = Tensors::open(source / "engine/ember");
  CHECK(tensors.files().size() == 2);
  const TensorInfo& embeddings = tensors.require("model.embed_tokens.weight");
  CHECK(embeddings.type == TensorType::bf16);
  CHECK(embeddings.shape == std::vector<std::int64_t>{4096, 256});
  CHECK(tensors.read_f32(embeddings).size() == 4096u * 256u);
  const TensorInfo& expert = tensors.require("model.layers.0.mlp.experts.0.up_proj.weight");
  CHECK(name(expert.type) == "F8_E4M3");
  CHECK(expert.bytes == 64u * 256u);
  CHECK(tensors.find("model.layers.0.mlp.experts.0.up_proj.weight_scale_inv") != nullptr);
  CHECK(tensors.find("no.such.tensor") == nullptr);
  CHECK(contains(error_of([&] { tensors.require("no.such.tensor"); }),
                 "tensor \"no.such.tensor\" is missing"));
}

TEST_CASE("every golden checkpoint opens, with an index or as one file") {
  for (const auto& folder : std::filesystem::directory_iterator(source / "tests/golden")) {
    if (folder.is_directory()) CHECK_FALSE(Tensors::open(folder.path()).all().empty());
  }
  const Tensors golden = Tensors::open_file(source / "tests/golden/ember.safetensors");
  CHECK(golden.metadata().at("name.8") == "rename");
  CHECK(golden.read_i32(golden.require("prompt.0")).size() > 10);
}

TEST_CASE("values are widened exactly") {
  const nlohmann::json header = {{"a", entry("F16", {4}, 0, 8)},
                                 {"b", entry("BF16", {2}, 8, 12)},
                                 {"c", entry("F32", {1}, 12, 16)},
                                 {"d", entry("I32", {1, 1}, 16, 20)}};
  const std::string text = header.dump();
  std::string bytes = with_length(text.size(), text);
  for (const int code : {0x3c00, 0x8001, 0x7bff, 0xfc00, 0xc040, 0x3f80}) {
    bytes += static_cast<char>(code & 0xff);
    bytes += static_cast<char>(code >> 8);
  }
  bytes += std::string("\x00\x00\x80\x3f\xfe\xff\xff\xff", 8);

  const Tensors tensors = open_bytes(bytes);
  CHECK(tensors.read_f32(tensors.require("a")) ==
        std::vector<float>{1.0f, -0x1p-24f, 65504.0f, -INFINITY});
  CHECK(tensors.read_f32(tensors.require("b")) == std::vector<float>{-3.0f, 1.0f});
  CHECK(tensors.read_f32(tensors.require("c")) == std::vector<float>{1.0f});
  CHECK(tensors.read_i32(tensors.require("d")) == std::vector<std::int32_t>{-2});
  CHECK(contains(error_of([&] { tensors.read_f32(tensors.require("d")); }), "is of I32"));
  CHECK(contains(error_of([&] { tensors.read_i32(tensors.require("c")); }), "is of F32"));

  std::array<std::byte, 4> part{};
  CHECK(contains(error_of([&] { tensors.read(tensors.require("d"), 1, part); }), "tensor \"d\""));
}

TEST_CASE("every half-precision code is widened as its definition says") {
  const nlohmann::json header = {{"all", entry("F16", {65536}, 0, 131072)}};
  const std::string text = header.dump();
  std::string bytes = with_length(text.size(), text);
  for (int code = 0; code < 65536; ++code) {
    bytes += static_cast<char>(code & 0xff);
    bytes += static_cast<char>(code >> 8);
  }
  const Tensors tensors = open_bytes(bytes);
  const std::vector<float> values = tensors.read_f32(tensors.require("all"));
  int wrong = 0;
  for (int code = 0; code < 65536; ++code) {
    const int exponent = code >> 10 & 31;
    const int fraction = code & 1023;
    const double sign = code & 0x8000 ? -1.0 : 1.0;
    const float value = values[static_cast<std::size_t>(code)];
    if (exponent == 31) {
      wrong += fraction != 0 ? !std::isnan(value) : value != sign * INFINITY;
    } else if (exponent == 0) {
      wrong += value != std::ldexp(sign * fraction, -24);
    } else {
      wrong += value != std::ldexp(sign * (1024 + fraction), exponent - 25);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a header may leave bytes unused and be padded") {
  const std::string header = nlohmann::json{
      {"a", entry("F32", {2}, 8, 16)},
      {"empty", entry("F32", {0, 3}, 3, 3)},
      {"scalar", entry("U8", nlohmann::json::array(), 20,
                       21)}}.dump();
  const Tensors tensors = open_bytes(file_of(header + "    ", 64));
  CHECK(tensors.all().size() == 3);
  CHECK(tensors.require("empty").bytes == 0);
  CHECK(tensors.require("scalar").type == TensorType::other);
}

TEST_CASE("a lying header is refused") {
  CHECK(contains(refusal(std::string("abc")), "too few"));
  CHECK(contains(refusal(with_length(100, "{}")), "header has 100 bytes"));
  CHECK(contains(refusal(with_length(UINT64_MAX, "{}")), "header has 18446744073709551615"));
  CHECK(contains(refusal(with_length(2, "[]")), "no JSON object"));
  CHECK(contains(refusal(with_length(2, "{x")), "not valid JSON"));
  CHECK(contains(refusal(with_length(0, "")), "not valid JSON"));
  CHECK(contains(refusal(file_of(R"({"a": 1, "a": 2})", 0)), "is twice in one object"));
  CHECK(contains(refusal(nlohmann::json{{"__metadata__", {{"k", 1}}}}), "__metadata__"));
}

TEST_CASE("a tensor that cannot be is refused by name") {
  const auto of = [](const nlohmann::json& tensor) {
    const std::string message = refusal(nlohmann::json{{"w", tensor}});
    CHECK(contains(message, "tensor \"w\""));
    return message;
  };
  CHECK(contains(of(entry("F12", {1}, 0, 4)), "\"dtype\" is \"F12\""));
  CHECK(contains(of(entry("F32", {3}, 0, 8)), "12 bytes"));
  CHECK(contains(of(entry("F32", {-2}, 0, 8)), "\"shape\""));
  CHECK(contains(of(entry("F32", {1.5}, 0, 8)), "\"shape\""));
  CHECK(contains(of(entry("F32", "2", 0, 8)), "\"shape\""));
  CHECK(contains(of(entry("F32", {1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 4)), "8 dimensions"));
  CHECK(contains(of(entry("F32", {INT64_MAX, INT64_MAX}, 0, 4)), "64 bits"));
  CHECK(contains(of(entry("F32", {2}, 8, 0)), "\"data_offsets\""));
  CHECK(contains(of(entry("F32", {2}, 60, 68)), "within the 64 data bytes"));
  CHECK(contains(of(entry("F32", {2}, UINT64_MAX - 3, 4)), "\"data_offsets\""));
  CHECK(contains(of(entry("F32", {2}, -8, 0)), "\"data_offsets\""));
  CHECK(contains(of(entry("F32", {2}, "0", "8")), "\"data_offsets\""));
  CHECK(contains(of({{"dtype", "F32"}}), "\"shape\" is missing"));
  CHECK(contains(of(nlohmann::json(7)), "expected a JSON object"));
}

TEST_CASE("overlapping tensors are refused") {
  const std::string message = refusal(
      nlohmann::json{{"first", entry("F32", {2}, 0, 8)}, {"second", entry("F32", {2}, 7, 15)}});
  CHECK(contains(message, "\"first\""));
  CHECK(contains(message, "\"second\""));
  CHECK(contains(message, "overlap"));
}

TEST_CASE("a file cut at any place is refused, and never crashes") {
  const std::string whole = file_of(
      nlohmann::json{{"a", entry("F32", {2}, 0, 8)}, {"b", entry("BF16", {4}, 8, 16)}}.dump(), 16);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CHECK_FALSE(refusal(whole.substr(0, length)).empty());
  }
}

TEST_CASE("a flipped bit gives an error or a table whose tensors can be read") {
  const std::string whole = file_of(
      nlohmann::json{{"a", entry("F32", {2}, 0, 8)}, {"b", entry("BF16", {4}, 8, 16)}}.dump(), 16);
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * (whole.size() - 16); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const std::string message = error_of([&] {
      const Tensors tensors = open_bytes(damaged);
      for (const auto& [tensor_name, tensor] : tensors.all()) {
        std::vector<std::byte> bytes(tensor.bytes);
        tensors.read(tensor, 0, bytes);
      }
    });
    refused += !message.empty();
    if (!message.empty()) CHECK(contains(message, "DIR/model.safetensors"));
  }
  CHECK(refused > 500);
}

TEST_CASE("a file cut after it was opened is an error") {
  const ScratchDirectory directory;
  directory.write("model.safetensors",
                  file_of(nlohmann::json{{"a", entry("F32", {1024}, 0, 4096)}}.dump(), 4096));
  const Tensors tensors = Tensors::open(directory.path());
  CHECK(tensors.read_f32(tensors.require("a")).size() == 1024);
  std::filesystem::resize_file(directory.path() / "model.safetensors", 1000);
  const std::string message = error_of([&] { tensors.read_f32(tensors.require("a")); });
  CHECK(contains(message, (directory.path() / "model.safetensors").string()));
  CHECK(contains(message, "cut"));
}

class Checkpoint {
 public:
  Checkpoint() {
    directory.write("one.safetensors", file_of(nlohmann::json{{"a", tensor}}.dump(), 8));
    directory.write("two.safetensors", file_of(nlohmann::json{{"b", tensor}}.dump(), 8));
    index({{"a", "one.safetensors"}, {"b", "two.safetensors"}});
  }
  void index(const nlohmann::json& weight_map) const {
    directory.write("model.safetensors.index.json",
                    nlohmann::json{{"weight_map", weight_map}}.dump());
  }
  std::string refusal() const {
    return error_of([&] { Tensors::open(directory.path()); });
  }

  nlohmann::json tensor = entry("F32", {2}, 0, 8);
  ScratchDirectory directory;
};

TEST_CASE_FIXTURE(Checkpoint, "two shards and their index open") {
  const Tensors tensors = Tensors::open(directory.path());
  CHECK(tensors.require("a").file != tensors.require("b").file);
}

TEST_CASE_FIXTURE(Checkpoint, "a missing shard is named") {
  std::filesystem::remove(directory.path() / "two.safetensors");
  CHECK(contains(refusal(), "two.safetensors: this shard is missing"));
}

TEST_CASE_FIXTURE(Checkpoint, "a tensor that the index names and no shard has is named") {
  index({{"a", "one.safetensors"}, {"b", "two.safetensors"}, {"c", "two.safetensors"}});
  CHECK(contains(refusal(), "tensor \"c\" should be in two.safetensors and is not"));
  index({{"a", "two.safetensors"}, {"b", "one.safetensors"}});
  CHECK(contains(refusal(), "tensor \"a\" should be in two.safetensors"));
}

TEST_CASE_FIXTURE(Checkpoint, "a tensor in two shards is refused") {
  directory.write(
      "two.safetensors",
      file_of(nlohmann::json{{"a", tensor},
                             {"b", {{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {8, 16}}}}}
                  .dump(),
              16));
  CHECK(contains(refusal(), "tensor \"a\" is also in"));
}

TEST_CASE_FIXTURE(Checkpoint, "an index cannot lead out of the directory") {
  for (const char* shard : {"../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", ""}) {
    index({{"a", shard}});
    CHECK(contains(refusal(), "expected the plain name of a file"));
  }
}

TEST_CASE_FIXTURE(Checkpoint, "a broken index is refused by name") {
  directory.write("model.safetensors.index.json", "{}");
  CHECK(contains(refusal(), "\"weight_map\" is missing"));
  index({{"a", 5}});
  CHECK(contains(refusal(), "\"weight_map\" gives 5 for \"a\""));
  directory.write("model.safetensors.index.json", "{\"weight_map\"");
  CHECK(contains(refusal(), "index.json: not valid JSON"));
}

TEST_CASE("a directory without weights is named") {
  const ScratchDirectory empty;
  CHECK(contains(error_of([&] { Tensors::open(empty.path()); }), "model.safetensors: cannot open"));
  CHECK(contains(error_of([&] { open_file(empty.path()); }), "not a regular file"));
  empty.write("big", std::string(100, 'x'));
  CHECK(contains(error_of([&] { read_text(empty.path() / "big", 99); }), "at most 99"));
}

}  // namespace
}  // namespace hearth::engine
