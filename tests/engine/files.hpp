// What the engine's tests share: files in memory, scratch directories, and the
// message of an error.
#pragma once

#include <algorithm>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/support/file.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::engine {

// Bytes behind the File interface.
class MemoryFile final : public File {
 public:
  explicit MemoryFile(std::string bytes, std::string file_name = "memory")
      : bytes_(std::move(bytes)), name_(std::move(file_name)) {}
  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> to) const override {
    if (offset > size() || to.size() > size() - offset) throw Error(name_ + ": short read");
    const std::string_view part = std::string_view(bytes_).substr(offset, to.size());
    std::ranges::copy(std::as_bytes(std::span(part)), to.begin());
  }
  std::size_t read_direct(std::uint64_t offset, std::span<std::byte> to) const override {
    const std::size_t left = static_cast<std::size_t>(size() - std::min(offset, size()));
    const std::size_t count = std::min(left, to.size());
    read(offset, to.first(count));
    return count;
  }

 private:
  std::string bytes_;
  std::string name_;
};

// A private directory, removed at the end, that files are put into.
class ScratchDirectory : public tests::TemporaryDirectory {
 public:
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path() / name, std::ios::binary) << content;
  }
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
