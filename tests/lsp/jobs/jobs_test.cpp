// The life of a job: its way through the model, its sessions, and what a person says to it.
#include "lsp/jobs/jobs.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "lsp/jobs/journal.hpp"
#include "lsp/jobs/text.hpp"
#include "tests/lsp/jobs/jobs_world.hpp"

namespace hearth::lsp::test {

using namespace std::chrono_literals;

TEST_CASE("a job is read, written and done, and its listener hears each piece once") {
  JobsWorld world;
  world.model.say({"Adds", " them."});
  const JobId id = world.start();
  CHECK(world.jobs.find(id)->state == JobState::queued);
  world.host.advance(1s);
  const Job& job = *world.jobs.find(id);
  CHECK(job.state == JobState::done);
  CHECK(job.text == "Adds them.");
  CHECK(job.changed > job.created);
  CHECK(job.answer_time == 200ms);
  std::string heard;
  for (const auto& [state, delta] : world.heard) heard += delta;
  CHECK(heard == "Adds them.");
  CHECK(world.heard.front().first == JobState::prefilling);
  CHECK(world.heard.back().first == JobState::done);
}

TEST_CASE("a cancelled job computes no further step") {
  JobsWorld world;
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  world.host.advance(300ms);
  const int steps = world.model.steps;
  world.jobs.cancel(id);
  world.host.advance(10s);
  CHECK(world.model.steps == steps);
  CHECK(world.jobs.find(id)->state == JobState::cancelled);
  CHECK(world.jobs.find(id)->text == "a");
  CHECK(world.heard.back().first == JobState::cancelled);
  world.jobs.cancel(id);
  world.jobs.cancel(999);
}

TEST_CASE("a job goes on without its session, and another session takes it") {
  JobsWorld world;
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  world.host.advance(300ms);
  const std::size_t heard = world.heard.size();
  int told = 0;
  world.jobs.add_adopter(&world, "vim 8", [&told] { ++told; });
  CHECK(world.jobs.has_adopter("vim 8"));
  CHECK_FALSE(world.jobs.has_adopter("vim 7"));
  CHECK_FALSE(world.jobs.has_adopter(""));
  world.jobs.disown(id);
  CHECK(told == 1);
  CHECK(world.jobs.ownerless().size() == 1);
  world.host.advance(100ms);
  CHECK(world.heard.size() == heard);
  CHECK(world.jobs.adopt(id, world.owner()));
  CHECK_FALSE(world.jobs.adopt(id, world.owner()));
  world.host.advance(1s);
  CHECK(world.heard.back().first == JobState::done);
  CHECK(world.jobs.find(id)->text == "abc");
  world.jobs.shown(id);
  CHECK_FALSE(world.jobs.adopt(id, world.owner()));
  CHECK(world.jobs.ownerless().empty());
  world.jobs.remove_adopter(&world);
}

TEST_CASE("whoever watches a job hears of it until they do not want to") {
  JobsWorld world;
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  std::string text;
  const auto watch = world.jobs.watch(id, [&](const Job&, std::string_view more) { text += more; });
  world.host.advance(400ms);
  CHECK(text == "ab");
  world.jobs.unwatch(watch);
  world.host.advance(1s);
  CHECK(text == "ab");
  CHECK(world.jobs.find(id)->text == "abc");
}

TEST_CASE("a paused job computes nothing and goes on behind what it has written") {
  JobsWorld world;
  world.model.think(2);
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  world.host.advance(600ms);
  CHECK(world.jobs.pause(id));
  world.host.advance(10s);
  CHECK(world.jobs.find(id)->state == JobState::paused);
  CHECK(message_of(*world.jobs.find(id)) == "paused after 4 tokens");
  CHECK_FALSE(world.jobs.is_any_running());
  CHECK_FALSE(world.jobs.pause(id));
  const int steps = world.model.steps;
  world.model.think(2);
  world.model.say({"a", "b", "c"});
  CHECK(world.jobs.resume(id));
  CHECK_FALSE(world.jobs.resume(id));
  world.host.advance(1s);
  CHECK(world.model.options.back().written == std::vector<std::int32_t>{1001, 1002, 1, 2});
  CHECK(world.jobs.find(id)->text == "abc");
  CHECK(world.jobs.find(id)->thought == "Step 1. Step 2. ");
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(world.model.steps == steps + 3);  // two of reading
}

TEST_CASE("who writes an answer is told and written down before its text, and asked to go on") {
  JobsWorld world;
  world.model.by = "far at gpu.example.org";
  world.model.say({"a", "b"});
  const JobId id = world.start();
  world.host.advance(200ms);  // the prompt is read
  CHECK(world.jobs.find(id)->text.empty());
  CHECK(world.jobs.find(id)->by == "far at gpu.example.org");
  CHECK(read_record(world.store.records().at(0)).by == "far at gpu.example.org");
  world.host.advance(100ms);
  CHECK(world.jobs.pause(id));
  world.host.advance(1s);
  world.model.say({"a", "b"});
  CHECK(world.jobs.resume(id));
  CHECK(world.model.options.back().written == std::vector<std::int32_t>{1});
  CHECK(world.model.options.back().written_by == "far at gpu.example.org");
}

TEST_CASE("a thought grows beside the text, and is told again from its beginning after a pause") {
  JobsWorld world;
  world.model.think(3);
  world.model.say({"a"});
  const JobId id = world.start();
  world.host.advance(400ms);
  CHECK(world.jobs.find(id)->thought == "Step 1. Step 2. ");
  CHECK(world.jobs.find(id)->text.empty());
  CHECK(world.jobs.pause(id));
  world.host.advance(1s);
  world.model.think(3);
  world.model.say({"a"});
  CHECK(world.jobs.resume(id));
  world.host.advance(2s);
  CHECK(world.jobs.find(id)->thought == "Step 1. Step 2. Step 3. ");
  CHECK(world.jobs.find(id)->text == "a");
}

TEST_CASE("an answer that was lost on its way begins anew, also where it is written down") {
  JobsWorld world;
  world.model.think(1);
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  world.host.advance(500ms);
  CHECK(world.jobs.find(id)->text == "ab");
  world.model.lose();
  world.host.run();
  CHECK(world.jobs.find(id)->text.empty());
  CHECK(world.jobs.find(id)->generated.empty());
  CHECK(read_record(world.store.records().at(0)).text.empty());
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(world.jobs.find(id)->text == "abc");
  CHECK(read_record(world.store.records().at(0)).text == "abc");
  CHECK(world.jobs.find(id)->generated == std::vector<std::int32_t>{1001, 1, 2, 3});
}

TEST_CASE("an answer whose tokens are not known begins anew after a pause") {
  JobsWorld world;
  world.model.tells_tokens = false;
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  world.host.advance(400ms);
  CHECK(world.jobs.pause(id));
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->text == "ab");
  world.model.say({"x", "y"});
  CHECK(world.jobs.resume(id));
  world.host.advance(1s);
  CHECK(world.model.options.back().written.empty());
  CHECK(world.jobs.find(id)->text == "xy");
}

TEST_CASE("a job that is resumed while it stops goes on when it has stopped") {
  JobsWorld world;
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  world.host.advance(300ms);
  world.model.say({"a", "b", "c"});
  CHECK(world.jobs.pause(id));
  CHECK(world.jobs.resume(id));
  world.host.advance(2s);
  CHECK(world.jobs.find(id)->text == "abc");
}

TEST_CASE("a job that is tried again has no thought of before") {
  JobsWorld world;
  world.model.think(2);
  world.model.say({"a"});
  const JobId id = world.start();
  world.host.advance(400ms);
  CHECK(world.jobs.cancel(id));
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->thought == "Step 1. Step 2. ");
  world.model.say({"b"});
  CHECK(world.jobs.retry(id));
  CHECK(world.jobs.find(id)->thought.empty());
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->text == "b");
  CHECK(world.jobs.find(id)->thought.empty());
}

TEST_CASE("a failed job begins again under its number") {
  JobsWorld world;
  world.model.fail("disk gone");
  const JobId id = world.start();
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::failed);
  world.model.say({"a"});
  CHECK(world.jobs.retry(id));
  CHECK_FALSE(world.jobs.retry(id));
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(world.jobs.find(id)->text == "a");
  CHECK(world.jobs.find(id)->error.empty());
}

TEST_CASE("an announced job whose session goes waits for another that can plan it") {
  JobsWorld world;
  Request request = text_request();
  request.place = R"({"uri": "file:///a.py"})";
  const JobId id = world.jobs.announce(request, {"file:///p", ""},
                                       GenerationProgress::Phase::loading, world.owner());
  world.jobs.disown(id);
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::queued);
  CHECK(message_of(*world.jobs.find(id)) == "queued until an editor opens its document");
  CHECK(world.model.prompts.empty());
  CHECK(world.jobs.adopt(id, world.owner()));
  world.model.say({"a"});
  world.jobs.submit(id, text_request());
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(world.jobs.find(id)->request.place.empty());
}

TEST_CASE("jobs go on where the store cannot write, and who waits for that is told why") {
  JobsWorld world;
  world.store.fail("the disk is full");
  world.model.say({"a"});
  const JobId id = world.start();
  std::vector<std::string> told;
  world.jobs.when_written(id, [&](const std::string& failure) { told.push_back(failure); });
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(told == std::vector<std::string>{"the disk is full"});
}

TEST_CASE("of very many jobs a bounded number is asked of the model at once, the others follow") {
  JobsWorld world;
  std::vector<JobId> ids;
  for (int i = 0; i < 200; ++i) {
    world.model.say({"a"});
    ids.push_back(world.start());
  }
  CHECK(world.model.prompts.size() == 64);
  CHECK(world.jobs.cancel(ids.back()));
  CHECK(world.jobs.pause(ids.at(198)));
  world.host.advance(60s);
  CHECK(world.model.prompts.size() == 198);
  CHECK(world.jobs.find(ids.front())->state == JobState::done);
  CHECK(world.jobs.find(ids.at(197))->state == JobState::done);
  CHECK(world.jobs.find(ids.at(198))->state == JobState::paused);
}

TEST_CASE("a job that fails keeps the reason") {
  JobsWorld world;
  world.model.fail("disk \xFF gone");
  const JobId id = world.start();
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::failed);
  CHECK(world.jobs.find(id)->error == "disk \uFFFD gone");
}

TEST_CASE("an announced job is listed, and cancelled or failed before it has a prompt") {
  JobsWorld world;
  const auto announce = [&] {
    return world.jobs.announce(example_request(), {}, GenerationProgress::Phase::loading, {});
  };
  const JobId cancelled = announce();
  CHECK(message_of(*world.jobs.find(cancelled)) == "loading the model");
  world.jobs.cancel(cancelled);
  world.jobs.submit(cancelled, example_request());
  const JobId failed = announce();
  world.jobs.fail(failed, "no such model");
  world.jobs.submit(failed, example_request());
  world.host.advance(1s);
  CHECK(world.jobs.find(cancelled)->state == JobState::cancelled);
  CHECK(world.jobs.find(failed)->error == "no such model");
  CHECK(world.model.prompts.empty());
}

TEST_CASE("the last hundred ended jobs are remembered, and all that run") {
  JobsWorld world;
  const JobId running = world.start();
  for (int i = 0; i < 150; ++i) {
    world.jobs.cancel(
        world.jobs.announce(example_request(), {}, GenerationProgress::Phase::queued, {}));
  }
  CHECK(world.jobs.find(running) != nullptr);
  CHECK(world.jobs.find(running + 50) == nullptr);
  CHECK(world.jobs.find(running + 51) != nullptr);
  CHECK(world.jobs.all().size() == 101);
  // What is listed no more may be left in the store for a while, but not where somebody forgets.
  for (int i = 0; i < 5; ++i) {
    world.jobs.cancel(
        world.jobs.announce(example_request(), {}, GenerationProgress::Phase::queued, {}));
  }
  CHECK(world.store.records().size() == 106);
  CHECK(world.jobs.forget([](const Job&) { return false; }) == 0);
  CHECK(world.store.records().size() == 101);
}

TEST_CASE("jobs that go stop what they compute, and nothing calls them any more") {
  VirtualHost host;
  ScriptedModel model(host);
  MemoryJobStore store(host);
  auto jobs = std::make_unique<Jobs>(host, model, store);
  jobs->start(example_request(), {}, {});
  host.advance(100ms);
  jobs.reset();
  host.advance(1s);
  CHECK(model.steps == 1);
}

}  // namespace hearth::lsp::test
