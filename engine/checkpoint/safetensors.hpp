// A checkpoint's safetensors files as one table of named tensors: headers read and validated,
// data left where it is. Knows nothing of the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/support/file.hpp"

namespace hearth::engine {

enum class TensorType : std::uint8_t { f32, f16, bf16, f8_e4m3, i32, i64, other };
std::string_view name(TensorType type);  // as safetensors writes it: "F32", "F8_E4M3"
std::size_t size_of(TensorType type);    // bytes of an element; 0 for other

struct TensorInfo {
  std::string name;
  TensorType type = TensorType::other;
  std::vector<std::int64_t> shape;
  std::size_t file = 0;      // index in Tensors::files()
  std::uint64_t offset = 0;  // of the first byte in that file
  std::uint64_t bytes = 0;
};

// Immutable after opening; reads are thread-safe.
class Tensors {
 public:
  // DIR/model.safetensors.index.json with its shards, else DIR/model.safetensors. Throws Error for
  // a missing shard, a tensor the index names and no shard has, a lying header (size, JSON, dtype,
  // offsets overlapping or outside the file, bytes that do not fit the shape).
  static Tensors open(const std::filesystem::path& directory);
  static Tensors open_file(const std::filesystem::path& file);          // one file of any name
  static Tensors from_files(std::vector<std::unique_ptr<File>> files);  // for tests and fuzzing

  const TensorInfo* find(std::string_view name) const;     // nullptr when absent
  const TensorInfo& require(std::string_view name) const;  // Error when absent
  // All tensors by name.
  const std::map<std::string, TensorInfo, std::less<>>& all() const { return tensors_; }
  std::span<const std::unique_ptr<File>> files() const { return files_; }
  // `__metadata__` of the first file.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // The tensor's bytes [from, from + to.size()).
  void read(const TensorInfo& tensor, std::uint64_t from, std::span<std::byte> to) const;
  // The whole tensor widened to F32 (F32, F16, BF16), or as I32.
  std::vector<float> read_f32(const TensorInfo& tensor) const;
  std::vector<std::int32_t> read_i32(const TensorInfo& tensor) const;

 private:
  std::vector<std::unique_ptr<File>> files_;
  std::map<std::string, TensorInfo, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace hearth::engine
