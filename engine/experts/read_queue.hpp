// What both readers share: jobs cut into pieces, waiting by urgency, and the account of what came.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/reader.hpp"

namespace hearth::engine {

// A part of a job that is read at once.
struct ReadPiece {
  struct Job {
    std::function<void(const std::string&)> done;
    std::mutex mutex;
    std::size_t left = 0;  // pieces
    std::string error;     // the first
  };
  std::shared_ptr<Job> job;
  Read read;
  Urgency urgency = Urgency::demand;

  // Takes `count` bytes that came off the read; false when nothing is left to read. Throws Error
  // when the file has ended too early.
  bool take(std::size_t count);
  // The piece is over; the job is done with its last piece.
  void finish(const std::string& error);
};

// Not thread-safe: its reader's mutex guards it.
class ReadQueue {
 public:
  void push(ReadJob job);
  // The next piece that may be begun while `under_way[urgency]` pieces are.
  std::optional<ReadPiece> pop(const std::array<int, 3>& under_way);
  // Everything that waits, to be finished with an error.
  std::deque<ReadPiece> take_all();
  bool empty() const;

 private:
  std::array<std::deque<ReadPiece>, 3> waiting_;
};

// Pieces under way at most. Deep enough for an NVMe disk's full speed with pieces of 1 MiB.
inline constexpr int read_depth = 16;
// Of those that nobody waits for: a demand is never behind more than these.
inline constexpr int background_depth = 6;

std::unique_ptr<AsyncReader> make_thread_reader();
// Null where the system refuses io_uring.
std::unique_ptr<AsyncReader> make_uring_reader();

}  // namespace hearth::engine
