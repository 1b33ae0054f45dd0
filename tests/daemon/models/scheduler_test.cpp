// Who computes when, with work that only writes down that it was stepped.
#include "daemon/models/scheduler.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "lsp/support/failure.hpp"

using namespace hearth::daemon;
using hearth::lsp::ModelError;
using hearth::lsp::Priority;

namespace {

using Story = std::vector<std::string>;

// Takes `steps` steps, each told in the story; `during` runs in the middle of each.
class RecordedTask : public Task {
 public:
  RecordedTask(Story& story, std::string name, int steps, std::function<void()> during = {})
      : story_(story), name_(std::move(name)), left_(steps), during_(std::move(during)) {}

  Step step(const std::atomic<bool>& interrupt) override {
    if (during_) during_();
    if (interrupt) {
      story_.push_back(name_ + " interrupted");
      return Step::interrupted;
    }
    story_.push_back(name_);
    return --left_ == 0 ? Step::done : Step::more;
  }
  void abandon(const ModelError& error) override {
    story_.push_back(name_ + " abandoned: " + error.message);
  }
  void waiting(const hearth::lsp::GenerationProgress&) override {
    story_.push_back(name_ + " waits");
  }

 private:
  Story& story_;
  std::string name_;
  int left_;
  std::function<void()> during_;
};

struct Stage {
  Story story;
  Scheduler scheduler;

  Scheduler::Id submit(Priority priority, std::string name, int steps,
                       std::function<void()> during = {}) {
    return scheduler.submit(
        priority, std::make_unique<RecordedTask>(story, std::move(name), steps, std::move(during)));
  }
  Story run() {
    while (scheduler.size() > 0) scheduler.advance();
    return story;
  }
};

}  // namespace

TEST_CASE("an explicit request goes before a completion, and that before a background job") {
  Stage stage;
  stage.submit(Priority::background, "job", 1);
  stage.submit(Priority::inline_completion, "completion", 2);
  stage.submit(Priority::explicit_request, "request", 2);
  CHECK(stage.run() == Story{"request", "request", "completion", "completion", "job"});
}

TEST_CASE("among equals, who came first is served to the end first") {
  Stage stage;
  stage.submit(Priority::explicit_request, "first", 2);
  stage.submit(Priority::explicit_request, "second", 2);
  CHECK(stage.run() == Story{"first", "first", "second", "second"});
}

TEST_CASE("a more urgent want interrupts a step, and the interrupted work goes on later") {
  Stage stage;
  bool arrived = false;
  stage.submit(Priority::background, "job", 2, [&] {
    if (std::exchange(arrived, true)) return;
    stage.submit(Priority::inline_completion, "completion", 1);
  });
  CHECK(stage.run() == Story{"job interrupted", "completion", "job", "job"});
}

TEST_CASE("an equally or less urgent want interrupts nothing") {
  Stage stage;
  bool arrived = false;
  stage.submit(Priority::inline_completion, "completion", 2, [&] {
    if (std::exchange(arrived, true)) return;
    stage.submit(Priority::inline_completion, "later", 1);
    stage.submit(Priority::background, "job", 1);
  });
  CHECK(stage.run() == Story{"completion", "completion", "later", "job"});
}

TEST_CASE("three kinds of work nest: each goes on where it was interrupted") {
  Stage stage;
  bool request_came = false;
  bool completion_came = false;
  const auto send_request = [&] {
    if (std::exchange(request_came, true)) return;
    stage.submit(Priority::explicit_request, "request", 1);
  };
  stage.submit(Priority::background, "job", 1, [&] {
    if (std::exchange(completion_came, true)) return;
    stage.submit(Priority::inline_completion, "completion", 1, send_request);
  });
  CHECK(stage.run() ==
        Story{"job interrupted", "completion interrupted", "request", "completion", "job"});
}

TEST_CASE("cancelled in the middle of a step, work is interrupted and never stepped again") {
  Stage stage;
  Scheduler::Id id = 0;
  id = stage.submit(Priority::explicit_request, "request", 5, [&] { stage.scheduler.cancel(id); });
  stage.submit(Priority::background, "job", 1);
  CHECK(stage.run() == Story{"request interrupted", "request abandoned: cancelled", "job"});
}

TEST_CASE("parked work that is cancelled is not stepped again") {
  Stage stage;
  const auto id = stage.submit(Priority::background, "job", 5);
  stage.scheduler.advance();
  stage.submit(Priority::explicit_request, "request", 2);
  stage.scheduler.advance();
  stage.scheduler.cancel(id);
  CHECK(stage.run() == Story{"job", "request", "job abandoned: cancelled", "request"});
}

TEST_CASE("work that has not begun is cancelled at once") {
  Stage stage;
  const auto id = stage.submit(Priority::explicit_request, "request", 5);
  stage.scheduler.cancel(id);
  CHECK(stage.story == Story{"request abandoned: cancelled"});
  CHECK(stage.scheduler.size() == 0);
}

TEST_CASE("cancelling what is unknown or done does nothing") {
  Stage stage;
  const auto id = stage.submit(Priority::explicit_request, "request", 1);
  stage.run();
  stage.scheduler.cancel(id);
  stage.scheduler.cancel(12345);
  CHECK(stage.story == Story{"request"});
}

TEST_CASE("work that fails is told why, and others go on") {
  Stage stage;
  stage.submit(Priority::explicit_request, "request", 1,
               [] { throw std::runtime_error("the disk is gone"); });
  stage.submit(Priority::background, "job", 1);
  CHECK(stage.run() == Story{"request abandoned: the disk is gone", "job"});
}

TEST_CASE("work that memory runs out for is told so in a sentence") {
  Stage stage;
  stage.submit(Priority::explicit_request, "request", 1, [] { throw std::bad_alloc(); });
  stage.submit(Priority::background, "job", 1, [] { std::vector<char>().resize(~std::size_t{0}); });
  stage.submit(Priority::background, "thread", 1, [] {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  });
  const std::string told = std::string(" abandoned: ") + hearth::lsp::out_of_memory;
  CHECK(stage.run() == Story{"request" + told, "job" + told,
                             std::string("thread abandoned: ") + hearth::lsp::no_thread});
}

TEST_CASE("what waits has a bound") {
  Stage stage;
  for (std::size_t i = 0; i < Scheduler::max_waiting; ++i) {
    stage.submit(Priority::background, "job", 1);
  }
  CHECK(stage.story.empty());
  stage.submit(Priority::explicit_request, "request", 1);
  CHECK(stage.story ==
        Story{"request abandoned: too many requests are waiting: try again when some are done"});
  CHECK(stage.scheduler.size() == Scheduler::max_waiting);
}

TEST_CASE("a task between steps runs before the next step") {
  Stage stage;
  stage.submit(Priority::explicit_request, "request", 2);
  stage.scheduler.advance();
  stage.scheduler.between_steps([&] { stage.story.push_back("task"); });
  CHECK(stage.run() == Story{"request", "task", "request"});
}

TEST_CASE("only work that has not begun is told about its wait") {
  Stage stage;
  stage.submit(Priority::explicit_request, "begun", 2);
  stage.scheduler.advance();
  stage.submit(Priority::explicit_request, "queued", 1);
  stage.scheduler.notify_queued({});
  CHECK(stage.story == Story{"begun", "queued waits"});
}

TEST_CASE("closed, it abandons all work, and what comes later") {
  Stage stage;
  stage.submit(Priority::explicit_request, "begun", 2);
  stage.scheduler.advance();
  stage.submit(Priority::explicit_request, "queued", 1);
  stage.scheduler.close({"the model is damaged"});
  CHECK_FALSE(stage.scheduler.wait());
  stage.submit(Priority::explicit_request, "late", 1);
  CHECK(stage.story == Story{"begun", "queued abandoned: the model is damaged",
                             "begun abandoned: the model is damaged",
                             "late abandoned: the model is damaged"});
  CHECK(stage.scheduler.size() == 0);
}
