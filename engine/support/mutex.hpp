// A mutex, its lock and its condition, with the annotations by which clang's -Wthread-safety proves
// that what a mutex guards is touched under it alone. Other compilers see std::mutex and no more.
// Part of the engine's face: the daemon locks with the same.
//
// Conditions are waited for in loops, not with predicates: the analysis does not look through a
// lambda.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define HEARTH_ATTRIBUTE(x) __attribute__((x))
#else
#define HEARTH_ATTRIBUTE(x)
#endif

// On a member: only read or written while the mutex is held.
#define HEARTH_GUARDED_BY(mutex) HEARTH_ATTRIBUTE(guarded_by(mutex))
// On a function: its caller holds the mutex; its caller must not hold it.
#define HEARTH_REQUIRES(mutex) HEARTH_ATTRIBUTE(requires_capability(mutex))
#define HEARTH_EXCLUDES(mutex) HEARTH_ATTRIBUTE(locks_excluded(mutex))

namespace hearth::engine {

class HEARTH_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

 private:
  friend class Lock;
  friend class Unlock;
  friend class Condition;
  std::mutex mutex_;
};

// Holds a mutex for a scope; may let it go for a while before the scope's end.
class HEARTH_ATTRIBUTE(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex& mutex) HEARTH_ATTRIBUTE(acquire_capability(mutex)) : lock_(mutex.mutex_) {}
  ~Lock() HEARTH_ATTRIBUTE(release_capability()) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() HEARTH_ATTRIBUTE(acquire_capability()) { lock_.lock(); }
  void unlock() HEARTH_ATTRIBUTE(release_capability()) { lock_.unlock(); }

 private:
  friend class Condition;
  std::unique_lock<std::mutex> lock_;
};

// Lets a mutex go for a scope, in a function whose caller holds it.
class HEARTH_ATTRIBUTE(scoped_lockable) Unlock {
 public:
  explicit Unlock(Mutex& mutex) HEARTH_ATTRIBUTE(release_capability(mutex)) : mutex_(mutex.mutex_) {
    mutex_.unlock();
  }
  ~Unlock() HEARTH_ATTRIBUTE(release_capability()) { mutex_.lock(); }
  Unlock(const Unlock&) = delete;
  Unlock& operator=(const Unlock&) = delete;

 private:
  std::mutex& mutex_;
};

// Waits under a lock: as std::condition_variable does, spurious wake-ups included.
class Condition {
 public:
  void wait(Lock& lock) { condition_.wait(lock.lock_); }
  std::cv_status wait_until(Lock& lock, std::chrono::steady_clock::time_point time) {
    return condition_.wait_until(lock.lock_, time);
  }
  void notify_one() noexcept { condition_.notify_one(); }
  void notify_all() noexcept { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace hearth::engine
