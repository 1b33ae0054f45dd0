// A checkpoint's files as they lie on the disk: how fast they are read, and whether all of them can
// be. Loads nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>

namespace hearth::engine {

struct ReadSpeed {
  double bytes_per_second = 0;
  bool direct = false;      // past the page cache; else the memory's speed is in it
  std::uint64_t bytes = 0;  // of all shards; a small checkpoint tells less than the disk can do
  std::size_t shards = 0;
};
// Of the shards of the checkpoint in `model`: pieces of 1 MiB at random places, several at a time,
// for about `seconds`. Throws Error that names the file.
ReadSpeed read_speed(const std::filesystem::path& model, double seconds);

// The same for the same files: a digest of every shard's size, its header and samples of what it
// holds. Throws Error that names the file.
std::uint64_t fingerprint(const std::filesystem::path& model);

struct ReadProgress {
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
};

// Reads every byte of every shard: what cannot be read, or holds a value that is not a number where
// no weight can be one, is an Error that names file and tensor. `progress` is called from this
// thread several times a second. False: *stop became true.
bool verify_files(const std::filesystem::path& model,
                  const std::function<void(const ReadProgress&)>& progress = {},
                  const std::atomic<bool>* stop = nullptr);

}  // namespace hearth::engine
