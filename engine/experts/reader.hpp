// Reads parts of files into memory while others compute. Keeps several reads under way, the urgent
// ones first; knows nothing of what is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file.hpp"

namespace hearth::engine {

// One read. offset, address and size are direct_alignment aligned; `least` bytes must come, what is
// beyond them may lie behind the file's end.
struct Read {
  const File* file = nullptr;
  std::uint64_t offset = 0;
  std::span<std::byte> to;
  std::size_t least = 0;
};

enum class Urgency : std::uint8_t {
  demand,      // somebody waits
  ahead,       // somebody may wait soon: only while nothing is demanded
  background,  // only while nothing else is to be read
};

// Reads that belong together. The memory and the files must stay until `done` was called, which
// happens once, on the reader's thread: with an empty text, or what went wrong, the file named.
struct ReadJob {
  std::vector<Read> reads;
  Urgency urgency = Urgency::demand;
  std::function<void(const std::string& error)> done;
};

class AsyncReader {
 public:
  // Waits for what is under way; jobs that were not begun are done with an error.
  virtual ~AsyncReader() = default;
  virtual void submit(ReadJob job) = 0;         // thread-safe; never waits for a read
  virtual std::string description() const = 0;  // "io_uring", "8 threads"
};

enum class ReaderKind : std::uint8_t { uring, threads };
std::string_view name(ReaderKind kind);
std::optional<ReaderKind> parse_reader(std::string_view name);

// Empty: io_uring where the system allows it and every file can be read past the page cache, else
// threads.
std::unique_ptr<AsyncReader> open_reader(std::optional<ReaderKind> kind,
                                         std::span<const std::unique_ptr<File>> files);

}  // namespace hearth::engine
