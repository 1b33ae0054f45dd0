// Two schedulers on the same cores: one parks the other, and never do both compute.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/models/scheduler.hpp"

using namespace hearth::daemon;
using hearth::lsp::ModelError;
using hearth::lsp::Priority;

namespace {

// What the steps of tasks do, in the order in which they end.
class Story {
 public:
  void tell(std::string what) {
    const hearth::engine::Lock lock(mutex_);
    told_.push_back(std::move(what));
  }
  std::vector<std::string> told() const {
    const hearth::engine::Lock lock(mutex_);
    return told_;
  }
  bool has(const std::string& what) const {
    for (const std::string& each : told()) {
      if (each == what) return true;
    }
    return false;
  }
  void wait_for(const std::string& what) const {
    while (!has(what)) std::this_thread::yield();
  }

  std::atomic<int> computing = 0;
  std::atomic<bool> both = false;  // more than one at a time, ever

 private:
  mutable hearth::engine::Mutex mutex_;
  std::vector<std::string> told_ HEARTH_GUARDED_BY(mutex_);
};

// Takes `steps` steps; the first one is interrupted first, where it is `long_one`.
class ToldTask : public Task {
 public:
  ToldTask(Story& story, std::string name, int steps, bool long_one = false)
      : story_(story), name_(std::move(name)), left_(steps), waits_(long_one) {}

  Step step(const std::atomic<bool>& interrupt) override {
    if (++story_.computing > 1) story_.both = true;
    const Step step = compute(interrupt);
    --story_.computing;
    return step;
  }
  void abandon(const ModelError&) override { story_.tell(name_ + " abandoned"); }

 private:
  Step compute(const std::atomic<bool>& interrupt) {
    if (std::exchange(waits_, false)) {
      story_.tell(name_ + " begins");
      while (!interrupt) std::this_thread::yield();
      story_.tell(name_ + " interrupted");
      return Step::interrupted;
    }
    story_.tell(name_);
    return --left_ == 0 ? Step::done : Step::more;
  }

  Story& story_;
  const std::string name_;
  int left_;
  bool waits_;
};

// A scheduler with its computing thread.
class Computing {
 public:
  explicit Computing(Scheduler* other = nullptr) : scheduler(other) {
    thread_ = std::thread([this] {
      while (scheduler.wait()) scheduler.advance();
    });
  }
  ~Computing() {
    scheduler.close({"the end"});
    thread_.join();
  }
  Computing(const Computing&) = delete;
  Computing& operator=(const Computing&) = delete;

  Scheduler scheduler;

 private:
  std::thread thread_;
};

// Both stepped by hand.
struct Pair {
  Story story;
  Scheduler large;
  Scheduler small{&large};

  Scheduler::Id submit(Scheduler& to, std::string name) {
    return to.submit(Priority::explicit_request, 0,
                     std::make_unique<ToldTask>(story, std::move(name), 1));
  }
};

}  // namespace

TEST_CASE("one that goes first interrupts the other's step, which goes on afterwards") {
  Story story;
  Computing large;
  Computing small(&large.scheduler);
  large.scheduler.submit(Priority::explicit_request, 0,
                         std::make_unique<ToldTask>(story, "job", 2, true));
  story.wait_for("job begins");
  small.scheduler.submit(Priority::inline_completion, 0,
                         std::make_unique<ToldTask>(story, "completion", 3));
  while (large.scheduler.size() > 0) std::this_thread::yield();
  CHECK(story.told() == std::vector<std::string>{"job begins", "job interrupted", "completion",
                                                 "completion", "completion", "job", "job"});
  CHECK_FALSE(story.both);
  CHECK(large.scheduler.parks() == 1);
}

TEST_CASE("of many that come at any moment, no two compute at once") {
  Story story;
  Computing large;
  Computing small(&large.scheduler);
  for (int i = 0; i < 200; ++i) {
    large.scheduler.submit(Priority::background, 0, std::make_unique<ToldTask>(story, "job", 3));
    small.scheduler.submit(Priority::inline_completion, 0,
                           std::make_unique<ToldTask>(story, "completion", 2));
    large.scheduler.between_steps([&] { story.tell("looked"); });
    while (large.scheduler.size() > 2 || small.scheduler.size() > 2) std::this_thread::yield();
  }
  while (large.scheduler.size() + small.scheduler.size() > 0) std::this_thread::yield();
  CHECK_FALSE(story.both);
}

TEST_CASE(
    "while it is parked it answers what is asked between steps, and lets go what is cancelled") {
  Pair pair;
  pair.submit(pair.large, "job");
  const auto cancelled = pair.submit(pair.large, "another job");
  pair.submit(pair.small, "completion");
  pair.small.advance();
  pair.large.advance();  // no step
  pair.large.between_steps([&] { pair.story.tell("looked"); });
  CHECK(pair.large.wait());
  pair.large.advance();
  pair.large.cancel(cancelled);
  CHECK(pair.story.told() ==
        std::vector<std::string>{"completion", "looked", "another job abandoned"});
  pair.small.close({"the end"});
  CHECK_FALSE(pair.small.wait());
  CHECK(pair.large.wait());
  pair.large.advance();
  CHECK(pair.story.told().back() == "job");
}

TEST_CASE("a request that is cancelled before its turn leaves nothing parked") {
  Pair pair;
  pair.submit(pair.small, "completion");
  const auto cancelled = pair.submit(pair.small, "another completion");
  pair.small.advance();
  pair.small.cancel(cancelled);
  pair.small.close({"the end"});
  CHECK_FALSE(pair.small.wait());
  pair.submit(pair.large, "job");
  CHECK(pair.large.wait());
  pair.large.advance();
  CHECK(pair.story.told() ==
        std::vector<std::string>{"completion", "another completion abandoned", "job"});
}

TEST_CASE("parking where nothing is under way is not counted") {
  Pair pair;
  pair.submit(pair.small, "completion");
  pair.small.advance();
  CHECK(pair.large.parks() == 0);
}
