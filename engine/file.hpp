// Reading a file by bounded positional reads. Never mapped: a file cut while in use must be an
// error, not a signal. Tests put faults behind this interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "engine/types.hpp"

namespace hearth::engine {

class File {
 public:
  virtual ~File() = default;
  virtual const std::string& name() const = 0;  // for errors
  virtual std::uint64_t size() const = 0;       // when opened
  // Fills `to` from `offset`. Throws Error (with the name) on a short read or an I/O error.
  // Thread-safe.
  virtual void read(std::uint64_t offset, std::span<std::byte> to) const = 0;
};

// Throws Error when it is missing or not a regular file.
std::unique_ptr<File> open_file(const std::filesystem::path& path);
// The whole of a small file; Error beyond `limit` bytes.
std::string read_text(const std::filesystem::path& path, std::uint64_t limit);

}  // namespace hearth::engine
