// What both readers share: jobs cut into pieces, waiting by urgency, and the account of what came.
#pragma once

#include <array>
#include <atomic>
#include <list>
#include <memory>

#include "engine/experts/reader.hpp"
#include "engine/support/mutex.hpp"

namespace hearth::engine {

// A part of a job that is read at once.
struct ReadPiece {
  struct Job {
    std::function<void(const ReadResult&)> done;
    Mutex mutex;
    std::size_t left HEARTH_GUARDED_BY(mutex) = 0;  // pieces
    ReadResult result HEARTH_GUARDED_BY(mutex);     // the first that is not complete
    const std::atomic<bool>* interrupt = nullptr;
  };
  std::shared_ptr<Job> job;
  Read read;
  Urgency urgency = Urgency::demand;

  bool interrupted() const;
  // Takes `count` bytes that came off the read; false when nothing is left to read. Throws Error
  // when the file has ended too early.
  bool take(std::size_t count);
  // The piece is over; the job is done with its last piece.
  void finish(ReadResult result) noexcept;
};

// Not thread-safe: its reader's mutex guards it. Only push needs memory: what was taken on is read.
class ReadQueue {
 public:
  using Pieces = std::list<std::unique_ptr<ReadPiece>>;  // moved without memory

  void push(ReadJob job);  // std::bad_alloc: nothing of it
  // The next piece that may be begun while `under_way[urgency]` pieces are; null: none.
  std::unique_ptr<ReadPiece> pop(const std::array<int, 3>& under_way);
  // What waits, to be finished as withdrawn: everything, or what is not for the background.
  Pieces take_all();
  Pieces take_wanted();
  bool empty() const;

 private:
  std::array<Pieces, 3> waiting_;
};

// Pieces under way at most. Deep enough for an NVMe disk's full speed with pieces of 1 MiB.
inline constexpr int read_depth = 16;
// Limit of reads that nobody waits for: a demand is never behind more than these.
inline constexpr int background_depth = 6;

std::unique_ptr<AsyncReader> make_thread_reader();
// Null where the system refuses io_uring.
std::unique_ptr<AsyncReader> make_uring_reader();

}  // namespace hearth::engine
