// Private files that are there whole or not at all, and how they are read again. Names that are
// links are not followed. Knows nothing of what is in them. A face of the engine: the daemon writes
// its files with it too.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/support/types.hpp"

namespace hearth::engine {

// write(2); replaceable, so that tests can fill a disk.
using WriteFunction = std::function<ssize_t(int file, const void* data, std::size_t bytes)>;

// Written beside (mode 0600), synced, renamed over what had the name, and the directory synced.
// What was there before stays until then, and where anything fails. Every failure is an Error,
// "cannot write PATH: reason". For one thread.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path, WriteFunction write = {});
  // In an open directory, which outlives it, wherever that directory's name leads by now.
  AtomicFile(int directory, std::filesystem::path path, WriteFunction write = {});
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();  // what was not published is gone

  void expect(std::uint64_t bytes);  // tells at once when the disk has no room for them
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void sync();
  // The last call. On an Error the new file may be there only where its directory cannot be synced.
  void publish();
  int descriptor() const { return file_.value; }

 private:
  struct Descriptor {
    Descriptor() = default;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();
    int value = -1;
  };
  void open();
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  WriteFunction write_;
  Descriptor own_directory_;
  int directory_ = -1;  // where the file comes to be
  std::string beside_;  // its name until then; empty: it has its own
  Descriptor file_;
};

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

// What a process that was killed may leave behind where it wrote files.
bool is_unfinished(std::string_view name);

// So that a new, renamed or removed name in it is not lost. Throws Error.
void sync_directory(const std::filesystem::path& directory);

// The content, if it is a regular file of at most `limit` bytes that can be read. A link is none.
std::optional<std::string> read_own_file(const std::filesystem::path& path, std::uint64_t limit);

}  // namespace hearth::engine
