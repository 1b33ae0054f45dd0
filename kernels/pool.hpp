// The threads that compute. Hands out numbered pieces of work and stops between two of them when
// asked to. Knows nothing of what a piece does; what a piece computes must not depend on who runs
// it. Each thread begins with a range of neighbouring pieces, which in a product are adjacent
// in memory, and takes from the others' ranges when its own is done; so pieces can be small, and a
// thread that lost its core holds up no more than the piece in its hands.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth::kernels {

// One thread at a time calls a Pool; it computes beside the workers. Workers sleep while idle.
class Pool {
 public:
  using Body = std::function<void(std::int64_t piece)>;

  // `threads` ≥ 1, the calling one included. Throws Error when the system starts no more threads.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // From now on *interrupt is looked at before every piece; once it is true no further piece is
  // begun until finish().
  void begin(const std::atomic<bool>* interrupt);
  // Forgets the flag. True if every piece since begin() has run.
  bool finish();
  // Whether an interrupt was seen since begin().
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  // Looks at the flag: true if work should stop, which it then does.
  bool poll();

  // Runs body(0) … body(pieces - 1), each once, in any order on any thread; returns when all have
  // run or the interrupt was seen and no piece is running. Where one throws, no further piece is
  // begun, and the first exception comes out of here.
  void run(std::int64_t pieces, const Body& body);

 private:
  void quit();
  void run_all(std::int64_t pieces, const Body& body);
  void fail(std::exception_ptr failure);
  void work(std::size_t self);
  void drain(const Body& body, std::size_t self);

  // The pieces [next, end) that a thread is to do first.
  struct alignas(64) Range {
    std::atomic<std::int64_t> next = 0;
    std::int64_t end = 0;  // written between jobs
  };

  const std::atomic<bool>* interrupt_ = nullptr;
  std::atomic<bool> stopped_ = false;

  std::mutex mutex_;
  std::condition_variable job_posted_;
  std::condition_variable workers_left_;
  const Body* body_ = nullptr;  // null between jobs
  bool quit_ = false;
  std::atomic<std::uint64_t> job_ = 0;  // counts jobs; written under the mutex, watched without
  std::atomic<int> inside_ = 0;         // workers in the current job; written under the mutex
  std::atomic<bool> failed_ = false;    // a piece of the current job threw
  std::exception_ptr failure_;          // what
  std::vector<Range> ranges_;           // of the calling thread, then of the workers
  std::vector<std::thread> workers_;
};

}  // namespace hearth::kernels
