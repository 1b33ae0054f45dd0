// Dummy checkpoints: the published layout and shapes filled with random weights, so that
// memory, disk and speed can be measured without the published 77 GB. What such a model says is
// noise.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "engine/checkpoint/model_config.hpp"
#include "engine/checkpoint/weight_tensor.hpp"
#include "engine/tokenizer/profile.hpp"

namespace hearth::engine {

inline constexpr int attention_interval = 4;  // every fourth layer is full attention

// The 80B model's shapes with another number of layers and experts (of which at most 10 are chosen
// for a token).
ModelConfig published_config(int layers, int experts);

// A model whose published shapes are known.
struct PublishedModel {
  std::string_view name;         // "qwen3.6-35b-a3b"
  std::string_view checkpoints;  // for people: "Qwen3.6-35B-A3B-FP8"
  ModelConfig config;            // with all its layers and experts
  WeightForm form = WeightForm::fp8;
  bool mtp = false;  // whether its files have the MTP head
};
std::span<const PublishedModel> published_models();
// The same shapes with another number of layers, and of experts where it has any.
ModelConfig with_layers(const PublishedModel& model, int layers, std::optional<int> experts);

// A small model after the same plan, with a context of 8,192 tokens: some megabytes, which compute
// quickly. Heads and experts follow the hidden size, a multiple of 128; at most 4 experts are
// chosen. Its vocabulary is the tokenizer's (vocab_size is 0). Throws Error for what is no such
// size.
inline constexpr int max_tiny_hidden = 1'024;
ModelConfig tiny_config(int hidden, int layers, int experts);

struct DummyOptions {
  std::filesystem::path out;  // the new checkpoint's directory: absent or empty
  // Every shape; the layers must have full attention at every fourth and nowhere else. A vocab_size
  // of 0 is as many tokens as the tokenizer has.
  ModelConfig config = published_config(48, 512);
  WeightForm form = WeightForm::fp8;
  bool mtp = false;     // with the multi-token-prediction head
  bool sparse = false;  // experts' weights are holes in the files, which read as zeros
  // How uneven routing is: an expert's logit has a constant part of standard deviation 0.39 · skew
  // beside a part of standard deviation 1 that depends on the token. 0: uniform; 2: about 70 % of
  // the chosen experts are among the quarter that was used last.
  double skew = 0;
  std::uint64_t seed = 0;  // the same seed gives the same bytes
  // A checkpoint's directory or a tokenizer.json, copied with the files beside it; empty: none.
  std::filesystem::path tokenizer;
  // Other than the published one it is written into a hearth.json; needs a tokenizer.
  FimOrder fim_order = FimOrder::prefix_first;
  std::uint64_t shard_bytes = 5'000'000'000;  // no shard is larger, unless one tensor is
  std::optional<std::uint64_t> free_bytes;    // taken for what the file system has free
};

struct DummyProgress {
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
};

struct DummySummary {
  std::size_t shards = 0;
  std::uint64_t bytes = 0;    // of all tensors
  std::uint64_t written = 0;  // of the files, without holes
};

// Writes the checkpoint into OUT.partial, past the page cache where the file system allows, and
// renames it to OUT when all of it is on the disk. `progress` is called from this thread several
// times a second. Nothing is left behind when it fails (Error) or when *stop becomes true (empty).
std::optional<DummySummary> write_dummy(
    const DummyOptions& options, const std::function<void(const DummyProgress&)>& progress = {},
    const std::atomic<bool>* stop = nullptr);

}  // namespace hearth::engine
