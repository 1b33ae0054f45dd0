// What the engine's tests share: files in memory that can fail, scratch directories, and the
// message of an error.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <utility>

#include "engine/file.hpp"

namespace hearth::engine {

// Bytes behind the File interface. `readable` plays a file that was cut after it was opened.
class MemoryFile final : public File {
 public:
  explicit MemoryFile(std::string bytes, std::string file_name = "memory")
      : bytes_(std::move(bytes)), readable_(bytes_.size()), name_(std::move(file_name)) {}
  void cut(std::size_t readable) { readable_ = readable; }

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> to) const override {
    if (offset > readable_ || to.size() > readable_ - offset) throw Error(name_ + ": short read");
    std::memcpy(to.data(), bytes_.data() + offset, to.size());
  }

 private:
  std::string bytes_;
  std::size_t readable_;
  std::string name_;
};

// A directory of its own, removed at the end.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::random_device random;
    path_ = std::filesystem::temp_directory_path() / ("hearth-test-" + std::to_string(random()));
    std::filesystem::create_directory(path_);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }

 private:
  std::filesystem::path path_;
};

// The message of the Error that `action` throws; empty when it throws none.
template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace hearth::engine
