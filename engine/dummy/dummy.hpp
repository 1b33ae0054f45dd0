// Dummy checkpoints: the published layout and shapes filled with random weights, so that
// memory, disk and speed can be measured without the published 77 GB. What such a model says is
// noise.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "engine/checkpoint/model_config.hpp"

namespace hearth::engine {

// The 80B model's shapes with another number of layers (every fourth is full attention) and experts
// (of which at most 10 are chosen for a token).
ModelConfig published_config(int layers, int experts);

struct DummyOptions {
  std::filesystem::path out;  // the new checkpoint's directory: absent or empty
  // Every shape; the layers must have full attention at every fourth and nowhere else.
  ModelConfig config = published_config(48, 512);
  bool mtp = false;     // with the multi-token-prediction head
  bool sparse = false;  // experts' weights are holes in the files, which read as zeros
  // How uneven routing is: an expert's logit has a constant part of standard deviation 0.39 · skew
  // beside a part of standard deviation 1 that depends on the token. 0: uniform; 2: about 70 % of
  // the chosen experts are among the quarter that was used last.
  double skew = 0;
  std::uint64_t seed = 0;  // the same seed gives the same bytes
  // A checkpoint's directory or a tokenizer.json, copied with the files beside it; empty: none.
  std::filesystem::path tokenizer;
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
