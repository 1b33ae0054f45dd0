// Schedules many requests on one engine. Picks the most urgent task, interrupts a less urgent
// one in the middle of a step, and goes on with it later. Among equally urgent ones clients take
// turns, a task each; what has begun runs to its end. Of two on the same cores one goes before the
// other, which it parks. Knows nothing of models.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/models/estimate.hpp"
#include "engine/support/mutex.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// What is before a task: others that are served first, and how many seconds they take; empty: not
// known of all of them.
struct Wait {
  std::size_t ahead = 0;
  std::optional<Forecast> time = Forecast{};
};

// The computation of a request, advanced step by step. step(), prepare(), waits() and, once step()
// was called, the destructor run on the computing thread.
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
  // Not begun yet: looks at what its work will be, between steps of others. Some milliseconds; what
  // it throws is left for step() to throw again.
  virtual void prepare() {}
  // What is before it now; answers with the seconds that it needs itself from here to its end, with
  // the engine to itself; empty: not known. Asked one after another, as they will be served.
  virtual std::optional<Forecast> waits(const Wait&) { return std::nullopt; }
};

class Scheduler {
 public:
  using Id = std::uint64_t;
  static constexpr std::size_t max_waiting = 256;
  static constexpr std::size_t max_waiting_of_client = 192;  // client 0 is nobody: any number

  // `other`: is parked as long as this one has something to compute; outlives it. What both engines
  // share is used in the steps of either and in this one's calls and preparations, never at once.
  explicit Scheduler(Scheduler* other = nullptr) : other_(other) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // From any thread -------------------------------------------------------------------------
  // Too many waiting, or closed: the task is abandoned with the reason before this returns.
  Id submit(lsp::Priority priority, std::uint64_t client, std::unique_ptr<Task> task);
  // A task that has not begun is abandoned before this returns, or once the computing thread has
  // looked at it; any other stops within its step.
  void cancel(Id id);
  // Runs `call` on the computing thread, between two steps and before any task.
  void between_steps(std::function<void()> call);
  // Tells all tasks that have not begun.
  void notify_queued(const lsp::GenerationProgress& progress);
  // Abandons all tasks, now and from now on. wait() returns false from then on.
  void close(const lsp::ModelError& reason);
  // Interrupts the present step and begins no other until unpark(): returns when nothing computes.
  // Not from the computing thread, and not twice.
  void park();
  void unpark();
  // How often something was under way that had to wait for unpark().
  std::uint64_t parks() const;
  // How long it waited so, in all; unpark() counts.
  std::chrono::duration<double> parked_for() const;
  std::size_t size() const;
  // How many of each priority, by its number; they add up to size().
  std::array<std::size_t, 3> sizes() const;

  // On the computing thread -----------------------------------------------------------------
  bool wait();     // until there is something to do that may be done now; false: closed
  void advance();  // one step of the most urgent task
  // Prepares the task that has not begun and was longest without; true: there are others that never
  // were, and nothing came or went meanwhile.
  bool prepare_next();
  // Calls waits() of all tasks in the order in which they will be served if nothing comes or goes.
  // What one throws ends it for this time.
  void tell_waits();
  // Counts tasks that came, began or went.
  std::uint64_t changes() const;
  // Calls it while the other one computes nothing.
  void alone(const std::function<void()>& call);

 private:
  struct Entry {
    Id id = 0;
    lsp::Priority priority = lsp::Priority::background;
    std::uint64_t client = 0;
    std::unique_ptr<Task> task;
    bool begun = false;
    bool cancelled = false;
    bool held = false;           // the computing thread looks at it: nobody else takes it away
    std::uint64_t prepared = 0;  // when, in counts of prepare_next(); 0: never
  };
  using Entries = std::vector<Entry*>;

  // Whose turn it is among the clients of one priority: who was served least since all of them were
  // idle; one that comes anew is not owed what it did not ask for.
  class Turns {
   public:
    std::uint64_t of(std::uint64_t client) const;
    void take(std::uint64_t client);

   private:
    std::uint64_t now_ = 0;
    std::map<std::uint64_t, std::uint64_t> later_;  // of the clients that are ahead of `now_`
  };
  using AllTurns = std::array<Turns, 3>;  // by priority

  static Entry* next_of(const Entries& entries, const AllTurns& turns);
  static void tell(Entries waiting, AllTurns& turns);
  Entries all() const HEARTH_REQUIRES(mutex_);
  bool has_something_to_do() const HEARTH_REQUIRES(mutex_);
  std::optional<lsp::ModelError> refusal(std::uint64_t client) const HEARTH_REQUIRES(mutex_);
  void begin(Entry& entry) HEARTH_REQUIRES(mutex_);
  void gone() HEARTH_REQUIRES(mutex_);  // after tasks went
  std::unique_ptr<Task> take(const Entry* entry) HEARTH_REQUIRES(mutex_);
  // These let the mutex go while they call.
  void run_calls() HEARTH_REQUIRES(mutex_);
  void drop_cancelled() HEARTH_REQUIRES(mutex_);
  bool park_other(bool wanted) HEARTH_REQUIRES(mutex_);

  Scheduler* const other_;
  bool other_is_parked_ = false;  // the computing thread's
  mutable engine::Mutex mutex_;
  engine::Condition changed_;
  engine::Condition step_ended_;
  // In the order of their submission.
  std::vector<std::unique_ptr<Entry>> entries_ HEARTH_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> calls_ HEARTH_GUARDED_BY(mutex_);
  std::unique_ptr<lsp::ModelError> closed_ HEARTH_GUARDED_BY(mutex_);
  Entry* running_ HEARTH_GUARDED_BY(mutex_) = nullptr;
  bool parked_ HEARTH_GUARDED_BY(mutex_) = false;
  std::uint64_t parks_ HEARTH_GUARDED_BY(mutex_) = 0;
  // Since when something under way waits for unpark().
  std::optional<std::chrono::steady_clock::time_point> parked_since_ HEARTH_GUARDED_BY(mutex_);
  std::chrono::duration<double> parked_for_ HEARTH_GUARDED_BY(mutex_){0};
  Id last_ HEARTH_GUARDED_BY(mutex_) = 0;
  AllTurns turns_ HEARTH_GUARDED_BY(mutex_);
  std::uint64_t changes_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::uint64_t preparations_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> interrupt_{false};
};

}  // namespace hearth::daemon
