// Schedules many requests on one engine. Picks the most urgent task, interrupts a less urgent
// one in the middle of a step, and goes on with it later. Knows nothing of models.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/support/mutex.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// The computation of a request, advanced step by step. step() and, once it was called, the
// destructor run on the computing thread.
class Task {
 public:
  enum class Step : std::uint8_t { more, done, interrupted };

  virtual ~Task() = default;
  // One piece; returns early with `interrupted` when the flag becomes true, and goes on from there
  // when called again. An exception ends the task: abandon() gets its text.
  virtual Step step(const std::atomic<bool>& interrupt) = 0;
  // Will not be stepped any more. Called at most once, and not after `done`.
  virtual void abandon(const lsp::ModelError& error) = 0;
  // Not begun yet; a state of the world that concerns it. Any thread.
  virtual void waiting(const lsp::GenerationProgress&) {}
};

class Scheduler {
 public:
  using Id = std::uint64_t;
  static constexpr std::size_t max_waiting = 256;

  Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // From any thread -------------------------------------------------------------------------
  // Too many waiting, or closed: the task is abandoned with the reason before this returns.
  Id submit(lsp::Priority priority, std::unique_ptr<Task> task);
  // A task that has not begun is abandoned before this returns; any other stops within its step.
  void cancel(Id id);
  // Runs `call` on the computing thread, between two steps and before any task.
  void between_steps(std::function<void()> call);
  // Tells all tasks that have not begun.
  void notify_queued(const lsp::GenerationProgress& progress);
  // Abandons all tasks, now and from now on. wait() returns false from then on.
  void close(const lsp::ModelError& reason);
  std::size_t size() const;

  // On the computing thread -----------------------------------------------------------------
  bool wait();     // until there is something to do; false: closed
  void advance();  // one step of the most urgent task

 private:
  struct Entry {
    Id id = 0;
    lsp::Priority priority = lsp::Priority::background;
    std::unique_ptr<Task> task;
    bool begun = false;
    bool cancelled = false;
  };

  Entry* most_urgent() HEARTH_REQUIRES(mutex_);
  std::unique_ptr<Task> take(const Entry* entry) HEARTH_REQUIRES(mutex_);
  // These let the mutex go while they call.
  void run_calls() HEARTH_REQUIRES(mutex_);
  void drop_cancelled() HEARTH_REQUIRES(mutex_);

  mutable engine::Mutex mutex_;
  engine::Condition changed_;
  // In the order of their submission.
  std::vector<std::unique_ptr<Entry>> entries_ HEARTH_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> calls_ HEARTH_GUARDED_BY(mutex_);
  std::unique_ptr<lsp::ModelError> closed_ HEARTH_GUARDED_BY(mutex_);
  Entry* running_ HEARTH_GUARDED_BY(mutex_) = nullptr;
  Id last_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> interrupt_{false};
};

}  // namespace hearth::daemon
