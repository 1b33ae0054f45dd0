// Reads parts of files into memory while others compute. Keeps several reads under way, the urgent
// ones first; knows nothing of what is read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/support/file.hpp"

namespace hearth::engine {

// One read. offset, address and size are direct_alignment aligned; `min_bytes` bytes must come,
// what is beyond them may be past the file's end.
struct Read {
  const File* file = nullptr;
  std::uint64_t offset = 0;
  std::span<std::byte> to;
  std::size_t min_bytes = 0;
};

enum class Urgency : std::uint8_t {
  demand,      // somebody waits
  ahead,       // somebody may wait soon: only while nothing is demanded
  background,  // only while nothing else is to be read
};

// How a read ended.
struct ReadResult {
  enum class End : std::uint8_t {
    complete,
    withdrawn,  // before all of it was read
    no_memory,
    failed,
  };
  End end = End::complete;
  std::string error;  // failed: what went wrong, the file named

  bool complete() const { return end == End::complete; }
  static ReadResult of(const std::exception& failure) noexcept;  // no_memory or failed
  bool operator==(const ReadResult&) const = default;
};

// Reads that belong together. The memory and the files must stay until `done` was called, which
// happens once, on the reader's thread or on that of withdraw. It throws nothing.
struct ReadJob {
  std::vector<Read> reads;
  Urgency urgency = Urgency::demand;
  std::function<void(const ReadResult& result)> done;
  // Where it is set, what was not begun waits until it is withdrawn. May be null; else it must stay
  // until `done` was called.
  const std::atomic<bool>* interrupt = nullptr;
};

class AsyncReader {
 public:
  // Waits for what is under way; jobs that were not begun are withdrawn.
  virtual ~AsyncReader() = default;
  // Thread-safe; never waits for a read. std::bad_alloc: nothing of it was begun.
  virtual void submit(ReadJob job) = 0;
  // Nobody waits any more for what is demanded or read ahead: what of it was not begun is not read.
  // Thread-safe; its jobs are done before this returns, as far as nothing of them is under way.
  // Needs no memory.
  virtual void withdraw() = 0;
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
