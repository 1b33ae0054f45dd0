// What tells one checkpoint's bytes from another's: every byte outside the experts, and samples of
// the experts' data. Knows files and tensors, nothing of what they are for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/safetensors.hpp"

namespace hearth::engine {

// Whether a tensor is an expert's weight, or the weights of all experts of a layer (their scales
// are not).
bool is_expert_weight(std::string_view name);
// Whether it belongs to a part of the checkpoint that is not run and never read: its vision tower.
bool is_skipped(std::string_view name);

// Offsets in a file of the pages that stand for its experts' data: 64 of them, spread over the data
// at places that follow from its size alone. None where the file has no expert.
inline constexpr std::size_t sample_bytes = 4096;
std::vector<std::uint64_t> sample_offsets(const Tensors& tensors, std::size_t file);

// Digest of every file's size, header and samples. Reads past the page cache where that is
// possible, several at a time. Throws Error naming the file.
std::uint64_t digest_samples(const Tensors& tensors);

// Bytes of a tensor that are digested at a time; the digest of each seeds the next one's.
inline constexpr std::uint64_t digest_piece = std::uint64_t{8} << 20;
std::uint64_t digest_tensor(const Tensors& tensors, const TensorInfo& tensor);

// Sums up tensors in any order.
class TensorDigests {
 public:
  void add(std::string_view name, std::uint64_t digest);
  std::uint64_t sum() const { return sum_; }

 private:
  std::uint64_t sum_ = 0;
};

// The files of a checkpoint that is in use: whether they still are what was loaded.
//
// Threading: one thread at a time.
class CheckpointFiles {
 public:
  // `samples` and `outside` are what was loaded: digest_samples, and the sum over every tensor that
  // is no expert's weight.
  CheckpointFiles(std::filesystem::path directory, const Tensors& tensors, std::uint64_t samples,
                  std::uint64_t outside);

  // Looks at size, time and inode of each file; where one changed, at the bytes again. Throws Error
  // naming a file where they differ. A file that is gone is read on as it was opened.
  void check();

 private:
  std::filesystem::path directory_;
  const Tensors& tensors_;
  std::uint64_t samples_;
  std::uint64_t outside_;
  std::vector<FileStamp> seen_;  // by file
};

// Stamp of all files as they were opened.
std::uint64_t digest_stamps(const Tensors& tensors);

}  // namespace hearth::engine
