// Worker threads: see pool.hpp. A worker that comes late to a job finds it closed and sleeps on, so
// a job never waits for a thread that has nothing to do.
#include "kernels/pool.hpp"

#include <immintrin.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "kernels/ops.hpp"

namespace hearth::kernels {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// How long a worker looks for a job before it sleeps. Operations of one forward pass follow each
// other faster than that.
constexpr microseconds idle_spin{100};
// How long the caller looks whether the last pieces are done, about what one takes. Then it sleeps:
// only when it leaves its core free does the kernel bring a worker there that has none.
constexpr microseconds end_spin{10};

// The kernel's struct sched_attr, first version (linux/sched/types.h cannot stand beside sched.h).
struct Scheduling {
  std::uint32_t size = sizeof(Scheduling);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;  // ns; of SCHED_OTHER since Linux 6.12: the slice asked for
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

// Asks for short turns. Beside another program's thread on its core this one gets the same share as
// before, but waits a tenth of a millisecond instead of some for its turn, with a piece in its
// hands that the others wait for. Older kernels take no notice.
void ask_for_short_turns() {
  if (sched_getscheduler(0) != SCHED_OTHER) return;
  Scheduling wanted;
  wanted.nice = getpriority(PRIO_PROCESS, 0);
  wanted.runtime = 100'000;
  syscall(SYS_sched_setattr, 0, &wanted, 0);
}

template <class Condition>
bool spin_until(Condition condition, microseconds max) {
  const Clock::time_point end = Clock::now() + max;
  do {
    for (int i = 0; i < 16; ++i) {
      if (condition()) return true;
      _mm_pause();
    }
    sched_yield();  // to whoever wants this core: a thread of ours, perhaps, that holds a piece
  } while (Clock::now() < end);
  return false;
}

}  // namespace

Pool::Pool(int threads) : ranges_(static_cast<std::size_t>(threads)) {
  try {
    for (std::size_t i = 1; i < ranges_.size(); ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
    quit();
    throw Error("the system did not start " + std::to_string(threads) +
                " compute threads; ask for fewer");
  }
}

Pool::~Pool() {
  quit();
}

void Pool::quit() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
    job_.fetch_add(1, std::memory_order_release);
  }
  job_posted_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::begin(const std::atomic<bool>* interrupt) {
  interrupt_ = interrupt;
  stopped_.store(false, std::memory_order_relaxed);
}

bool Pool::finish() {
  interrupt_ = nullptr;
  return !stopped_.exchange(false, std::memory_order_relaxed);
}

bool Pool::poll() {
  if (stopped()) return true;
  if (interrupt_ == nullptr || !interrupt_->load(std::memory_order_relaxed)) return false;
  stopped_.store(true, std::memory_order_relaxed);
  return true;
}

void Pool::run(std::int64_t pieces, const Body& body) {
  run_all(pieces, body);
  if (failed_.exchange(false)) std::rethrow_exception(std::exchange(failure_, nullptr));
}

// The first one counts.
void Pool::fail(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  if (!failed_.exchange(true)) failure_ = std::move(failure);
}

void Pool::run_all(std::int64_t pieces, const Body& body) {
  const auto parts = static_cast<std::int64_t>(ranges_.size());
  for (std::int64_t i = 0; i < parts; ++i) {
    Range& range = ranges_[static_cast<std::size_t>(i)];
    range.next.store(pieces * i / parts, std::memory_order_relaxed);
    range.end = pieces * (i + 1) / parts;
  }
  if (workers_.empty() || pieces <= 1) return drain(body, 0);
  {
    const std::lock_guard lock(mutex_);
    body_ = &body;
    job_.fetch_add(1, std::memory_order_release);
  }
  job_posted_.notify_all();
  drain(body, 0);

  std::unique_lock lock(mutex_);
  body_ = nullptr;
  if (inside_ == 0) return;
  lock.unlock();
  const auto all_left = [this] { return inside_.load(std::memory_order_acquire) == 0; };
  if (spin_until(all_left, end_spin)) return;
  lock.lock();
  workers_left_.wait(lock, all_left);
}

void Pool::drain(const Body& body, std::size_t self) {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    Range& range = ranges_[(self + i) % ranges_.size()];
    while (!poll() && !failed_.load(std::memory_order_relaxed)) {
      const std::int64_t piece = range.next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= range.end) break;
      try {
        body(piece);
      } catch (...) {
        return fail(std::current_exception());
      }
    }
  }
}

void Pool::work(std::size_t self) {
  ask_for_short_turns();
  std::uint64_t seen = 0;
  for (;;) {
    const auto posted = [&] { return job_.load(std::memory_order_acquire) != seen; };
    spin_until(posted, idle_spin);
    std::unique_lock lock(mutex_);
    job_posted_.wait(lock, posted);
    if (quit_) return;
    seen = job_.load(std::memory_order_relaxed);
    if (body_ == nullptr) continue;
    const Body& body = *body_;
    inside_.fetch_add(1, std::memory_order_relaxed);
    lock.unlock();

    drain(body, self);

    lock.lock();
    const bool last = inside_.fetch_sub(1, std::memory_order_release) == 1;
    lock.unlock();
    if (last) workers_left_.notify_one();
  }
}

}  // namespace hearth::kernels
