// Reading a file by bounded positional reads. Never mapped: a file cut while in use must be an
// error, not a signal. Tests put faults behind this interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/support/types.hpp"

namespace hearth::engine {

// Alignment of offset, size and address of a read past the page cache.
inline constexpr std::size_t direct_alignment = 4096;

// What changes when a file is written to or replaced by another.
struct FileStamp {
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::int64_t written = 0;  // ns since 1970
  bool operator==(const FileStamp&) const = default;
};

class File {
 public:
  virtual ~File() = default;
  virtual const std::string& name() const = 0;  // for errors
  virtual std::uint64_t size() const = 0;       // when opened
  // Fills `to` from `offset`. Throws Error (with the name) on a short read or an I/O error.
  // Thread-safe.
  virtual void read(std::uint64_t offset, std::span<std::byte> to) const = 0;

  // One read past the page cache where direct() says so; everything direct_alignment aligned, `to`
  // may reach beyond the end. Returns how many bytes came; throws Error. Thread-safe.
  virtual std::size_t read_direct(std::uint64_t offset, std::span<std::byte> to) const = 0;
  virtual bool direct() const { return false; }
  // What io_uring reads from where direct(); else -1.
  virtual int direct_descriptor() const { return -1; }

  virtual FileStamp stamp() const { return {}; }  // when opened
  // The stamp of what has its name now; empty if nothing can be seen there.
  virtual std::optional<FileStamp> stamp_now() const { return stamp(); }
  // Throws Error when the file was written to or cut since it was opened.
  virtual void check_unchanged() const {}
  // Tells the system that what was read() is not needed again.
  virtual void drop_cached() const {}
};

// Throws Error when it is missing or not a regular file.
std::unique_ptr<File> open_file(const std::filesystem::path& path);
// Whether there is a file of that name. Throws Error for a link to what is not there, as a pruned
// download cache leaves them: a file that may be missing was meant to be there.
bool file_exists(const std::filesystem::path& path);
// The whole of a small file; Error beyond `limit` bytes.
std::string read_text(const std::filesystem::path& path, std::uint64_t limit);

}  // namespace hearth::engine
