// Who computes when, with work that only writes down that it was stepped.
#include "daemon/models/scheduler.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
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
  void prepare() override {
    story_.push_back(name_ + " prepared");
    if (in_preparation) in_preparation();
  }
  std::optional<Forecast> waits(const Wait& wait) override {
    if (wait.ahead == 0) return seconds;
    std::string told = name_ + " behind " + std::to_string(wait.ahead);
    if (wait.time) told += ", " + std::to_string(std::lround(wait.time->mean)) + " s";
    story_.push_back(told);
    return seconds;
  }

  std::function<void()> in_preparation;
  std::optional<Forecast> seconds;  // that it says it needs

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
        priority, 0,
        std::make_unique<RecordedTask>(story, std::move(name), steps, std::move(during)));
  }
  // Tasks of one step, "a1" of client 'a'.
  void ask(const std::vector<std::string>& names, Priority priority = Priority::explicit_request) {
    for (const std::string& name : names) {
      scheduler.submit(priority, static_cast<std::uint64_t>(name.front()),
                       std::make_unique<RecordedTask>(story, name, 1));
    }
  }
  void submit_lasting(Priority priority, std::string name, std::optional<Forecast> seconds) {
    auto task = std::make_unique<RecordedTask>(story, std::move(name), 2);
    task->seconds = seconds;
    scheduler.submit(priority, 0, std::move(task));
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

TEST_CASE("who asks for much does not keep another waiting for all of it") {
  Stage stage;
  stage.ask({"a1", "a2", "a3", "a4"});
  stage.scheduler.advance();
  stage.ask({"b1"});
  stage.scheduler.advance();
  stage.ask({"c1", "b2"});
  CHECK(stage.run() == Story{"a1", "b1", "c1", "a2", "b2", "a3", "a4"});
}

TEST_CASE("clients that ask for one thing each are served as they came") {
  Stage stage;
  stage.ask({"c1", "a1", "b1"});
  CHECK(stage.run() == Story{"c1", "a1", "b1"});
}

TEST_CASE("a client that comes anew is not owed the turns that it did not ask for") {
  Stage stage;
  stage.ask({"a1", "a2", "a3", "a4", "a5"});
  for (int i = 0; i < 3; ++i) stage.scheduler.advance();
  stage.ask({"b1", "b2", "b3"});
  CHECK(stage.run() == Story{"a1", "a2", "a3", "b1", "a4", "b2", "a5", "b3"});
}

TEST_CASE("what has begun is not left for another client's turn") {
  Stage stage;
  stage.scheduler.submit(Priority::explicit_request, 'a',
                         std::make_unique<RecordedTask>(stage.story, "a1", 3));
  stage.scheduler.advance();
  stage.ask({"b1"});
  CHECK(stage.run() == Story{"a1", "a1", "a1", "b1"});
}

TEST_CASE("a request that was cancelled before it began took no turn") {
  Stage stage;
  stage.ask({"c1"});
  stage.scheduler.advance();
  for (int i = 0; i < 5; ++i) {
    stage.scheduler.cancel(stage.scheduler.submit(
        Priority::explicit_request, 'a', std::make_unique<RecordedTask>(stage.story, "gone", 1)));
  }
  stage.story.clear();
  stage.ask({"a1", "b1"});
  CHECK(stage.run() == Story{"a1", "b1"});
}

TEST_CASE("turns of one priority are none of another") {
  Stage stage;
  stage.ask({"a1", "a2"}, Priority::background);
  stage.ask({"b1"}, Priority::background);
  stage.ask({"a3", "a4", "b2"});
  CHECK(stage.run() == Story{"a3", "b2", "a4", "a1", "b1", "a2"});
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

TEST_CASE("one client cannot fill the queue") {
  Stage stage;
  for (std::size_t i = 0; i < Scheduler::max_waiting_of_client; ++i) stage.ask({"a"});
  CHECK(stage.story.empty());
  stage.ask({"a more"});
  CHECK(stage.story ==
        Story{"a more abandoned: too many requests of this editor are waiting: try again when some "
              "are done"});
  stage.ask({"b1"});
  CHECK(stage.scheduler.size() == Scheduler::max_waiting_of_client + 1);
}

TEST_CASE("all but the next one are told what is before them, as they will be served") {
  Stage stage;
  stage.submit_lasting(Priority::background, "job", Forecast{7});
  stage.submit_lasting(Priority::explicit_request, "first", Forecast{10});
  stage.submit_lasting(Priority::inline_completion, "completion", std::nullopt);
  stage.submit_lasting(Priority::explicit_request, "second", Forecast{5});
  stage.scheduler.tell_waits();
  CHECK(stage.story == Story{"second behind 1, 10 s", "completion behind 2, 15 s", "job behind 3"});
  stage.scheduler.advance();
  stage.story.clear();
  stage.scheduler.cancel(3);
  stage.scheduler.tell_waits();
  CHECK(stage.story ==
        Story{"completion abandoned: cancelled", "second behind 1, 10 s", "job behind 2, 15 s"});
}

TEST_CASE("parked work is told when it goes on") {
  Stage stage;
  stage.submit_lasting(Priority::background, "job", Forecast{7});
  stage.scheduler.advance();
  stage.submit_lasting(Priority::explicit_request, "request", Forecast{3});
  stage.story.clear();
  stage.scheduler.tell_waits();
  CHECK(stage.story == Story{"job behind 1, 3 s"});
}

TEST_CASE("waits are foretold with clients taking turns") {
  Stage stage;
  stage.ask({"a1", "a2", "a3", "b1", "b2"});
  stage.scheduler.tell_waits();
  CHECK(stage.story == Story{"b1 behind 1", "a2 behind 2", "b2 behind 3", "a3 behind 4"});
  stage.story.clear();
  CHECK(stage.run() == Story{"a1", "b1", "a2", "b2", "a3"});
}

TEST_CASE("what has not begun is prepared once each, and then again in the same order") {
  Stage stage;
  stage.ask({"a1", "a2", "a3"});
  stage.scheduler.advance();
  stage.story.clear();
  stage.ask({"b1"});
  CHECK(stage.scheduler.prepare_next());
  CHECK(stage.scheduler.prepare_next());
  CHECK_FALSE(stage.scheduler.prepare_next());  // all are
  CHECK_FALSE(stage.scheduler.prepare_next());
  CHECK(stage.story == Story{"a2 prepared", "a3 prepared", "b1 prepared", "a2 prepared"});
}

TEST_CASE("a request is cancelled, or its scheduler closed, while it is prepared") {
  for (const bool closes : {false, true}) {
    Stage stage;
    auto task = std::make_unique<RecordedTask>(stage.story, "request", 1);
    task->in_preparation = [&] {
      if (closes) return stage.scheduler.close({"the end"});
      stage.scheduler.cancel(1);
      throw std::runtime_error("no prompt");
    };
    stage.scheduler.submit(Priority::explicit_request, 0, std::move(task));
    stage.ask({"a1"});
    CHECK_FALSE(stage.scheduler.prepare_next());  // something changed: look what is to be done
    if (closes) {
      CHECK_FALSE(stage.scheduler.wait());
      CHECK(stage.story ==
            Story{"request prepared", "a1 abandoned: the end", "request abandoned: the end"});
    } else {
      CHECK(stage.run() == Story{"request prepared", "request abandoned: cancelled", "a1"});
    }
  }
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
