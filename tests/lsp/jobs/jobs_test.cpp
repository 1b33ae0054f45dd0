// Requests as values, and the life of a job.
#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "lsp/jobs/journal.hpp"
#include "lsp/jobs/text.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

Request example() {
  Request request;
  request.action = "explain";
  request.title = "Explain average";
  request.prompt.messages = {{Role::system, {{"You help.", Provenance::system, true}}},
                             {Role::user,
                              {{"def average", Provenance::selection, false},
                               {"Explain \"it\" 😀\n", Provenance::instruction, false}}}};
  request.prompt.messages.push_back(
      {Role::assistant, {{"It adds.", Provenance::file, false}}, {7, 0, 151643}});
  request.options = {Priority::background,  77,           {"\n\n", "```"}, false, 1000,
                     Sampling::recommended, 1234567890123};
  request.targets = {{"file:///a.py", 4, {Byte{3}, Byte{9}}, "😀 text", "a\r\n", ""}};
  request.form = AnswerForm::hunks;
  request.repairs = true;
  request.left_out = {{Provenance::outline, "outline of a.py", "it names all", "it is long", 300}};
  return request;
}

// Whose answer is text.
Request question() {
  Request request = example();
  request.form.reset();
  return request;
}

struct World {
  World() { model.load(); }
  VirtualHost host;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  std::vector<std::pair<JobState, std::string>> heard;

  Jobs::Owner owner() {
    return {
        [this](const Job& job, std::string_view delta) { heard.emplace_back(job.state, delta); }};
  }
  JobId start() {
    const JobId id = jobs.start(question(), {"file:///p", "vim 7"}, owner());
    host.run();
    return id;
  }
};

}  // namespace

TEST_CASE("a request survives being written down") {
  const Request request = example();
  const json written = json::parse(json(request).dump());
  const auto read = written.get<Request>();
  CHECK(json(read) == json(request));
  CHECK(read.targets == request.targets);
  CHECK(read.options.priority == Priority::background);
  CHECK(text_of(read.prompt.messages.at(1).segments) == "def averageExplain \"it\" 😀\n");
  CHECK(read.prompt.messages.at(0).segments.at(0).boundary);

  Request fim;
  fim.prompt.kind = Prompt::Kind::fill_in_the_middle;
  fim.prompt.prefix = {{"before", Provenance::file, true}};
  fim.prompt.suffix = {{"after", Provenance::file, false}};
  CHECK(json(json(fim).get<Request>()) == json(fim));

  Request text;
  text.prompt.kind = Prompt::Kind::text;
  text.prompt.prefix = {{"goes on", Provenance::file}};
  CHECK(text_of(json(text).get<Request>().prompt.prefix) == "goes on");
}

TEST_CASE("a request of another form is refused by the member that is wrong") {
  json written = example();
  SUBCASE("an unknown kind") {
    written["prompt"]["kind"] = "song";
    CHECK_THROWS_WITH(written.get<Request>(), "\"kind\" has the unknown value \"song\"");
  }
  SUBCASE("a missing title") {
    written.erase("title");
    CHECK_THROWS_WITH(written.get<Request>(), "\"title\" is missing");
  }
  SUBCASE("targets that are none") {
    written["targets"] = 3;
    CHECK_THROWS_WITH(written.get<Request>(), "\"targets\" is not an array");
  }
}

TEST_CASE("an action's effect follows from the request as it was written down") {
  const Action& explain = *action_with_id("explain");
  const Request request = example();
  const auto nothing = [](const std::string&) { return SnapshotPtr(); };
  const Effect now = explain.apply(request, {"Adds."}, nothing);
  CHECK(explain.apply(json(request).get<Request>(), {"Adds."}, nothing) == now);
  CHECK(now == Effect{"Adds."});
  CHECK(action_with_command("hearth.server.explain") == &explain);
  CHECK(action_with_command("hearth.explain") == nullptr);
}

TEST_CASE("a job is read, written and done, and its listener hears each piece once") {
  World world;
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
  World world;
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
  World world;
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
  World world;
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
  World world;
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
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(world.model.steps == steps + 3);  // two of reading
}

TEST_CASE("a job that is resumed while it stops goes on when it has stopped") {
  World world;
  world.model.say({"a", "b", "c"});
  const JobId id = world.start();
  world.host.advance(300ms);
  world.model.say({"a", "b", "c"});
  CHECK(world.jobs.pause(id));
  CHECK(world.jobs.resume(id));
  world.host.advance(2s);
  CHECK(world.jobs.find(id)->text == "abc");
}

TEST_CASE("a failed job begins again under its number") {
  World world;
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
  World world;
  Request request = question();
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
  world.jobs.submit(id, question());
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(world.jobs.find(id)->request.place.empty());
}

TEST_CASE("a job survives being written down, whatever became of it") {
  Job job;
  job.id = 7;
  job.origin = {"file:///p", "vim 7"};
  job.request = example();
  job.state = JobState::waiting;
  job.text = "```\né\n```";
  job.generated = {7, 0, 151643};
  job.error = "\"why\"";
  job.finish = FinishReason::length;
  job.thought_cut = true;
  job.progress.answer_tokens = 9;
  job.prompt_time = 100ms;
  job.sent = {{"file:///a.py", "before", "", "inserted 😀", "after"}};
  job.created = job.changed = std::chrono::system_clock::time_point(1234567ms);
  SUBCASE("as it waits") {}
  SUBCASE("settled without text") {
    job.settled.emplace();
  }
  SUBCASE("settled with text") {
    job.settled = Settled{"Nothing was changed."};
  }
  const Job read = read_record(record_of(job));
  CHECK(read.id == 7);
  CHECK(read.origin.workspace == "file:///p");
  CHECK(read.origin.editor == "vim 7");
  CHECK(request_text(read.request) == request_text(job.request));
  CHECK(standing_text(read) == standing_text(job));
  CHECK(read.text == job.text);
  CHECK(read.generated == job.generated);
  CHECK(read.sent == job.sent);
  CHECK(read.settled.has_value() == job.settled.has_value());
  if (read.settled) CHECK(read.settled->text == job.settled->text);
  CHECK(read.created == job.created);
}

TEST_CASE("the next process goes on with what the store has, and leaves out what is damaged") {
  VirtualHost host;
  ScriptedModel model(host);
  MemoryJobStore store(host);
  model.load();
  JobId running = 0;
  JobId paused = 0;
  JobId done = 0;
  {
    Jobs jobs(host, model, store);
    model.say({"x"});
    done = jobs.start(question(), {"file:///p", ""}, {});
    host.advance(1s);
    jobs.shown(done);
    model.say({"a", "b", "c", "d"});
    running = jobs.start(question(), {"file:///p", ""}, {});
    model.say({"1", "2"});
    paused = jobs.start(question(), {"file:///p", ""}, {});
    host.advance(300ms);
    jobs.pause(paused);
    host.advance(100ms);
  }
  std::vector<JobRecord> records = store.records();
  records.push_back(records.front());
  records.back().id = 77;
  records.back().standing = "{\"state\": \"singing\"}";
  records.push_back(records.front());
  records.back().id = 78;
  records.back().request = "{";

  ScriptedModel next_model(host);
  MemoryJobStore next_store(host, records);
  Jobs jobs(host, next_model, next_store);
  next_model.say({"a", "b", "c", "d"});
  jobs.restore();
  host.advance(10s);
  CHECK(next_model.prompts.empty());
  next_model.load();
  host.run();
  CHECK(jobs.all().size() == 3);
  CHECK(jobs.find(done)->text == "x");
  CHECK(jobs.find(paused)->state == JobState::paused);
  CHECK(jobs.ownerless().size() == 2);
  host.advance(10s);
  CHECK(next_model.prompts.size() == 1);
  CHECK(next_model.options.at(0).written == std::vector<std::int32_t>{1, 2});
  CHECK(jobs.find(running)->state == JobState::done);
  CHECK(jobs.find(running)->text == "abcd");
  CHECK(jobs.find(running)->generated == std::vector<std::int32_t>{1, 2, 3, 4});
  const auto warned = std::ranges::count_if(
      host.logged, [](const std::string& line) { return line.find("is damaged") != line.npos; });
  CHECK(warned == 2);
  next_model.say({"1", "2"});
  CHECK(jobs.resume(paused));
  host.advance(10s);
  CHECK(jobs.find(paused)->text == "12");
  // Numbers go on, too.
  CHECK(jobs.start(question(), {}, {}) > 78);
}

TEST_CASE("what one model has written is not continued by another") {
  VirtualHost host;
  ScriptedModel model(host);
  MemoryJobStore store(host);
  model.load();
  JobId id = 0;
  {
    Jobs jobs(host, model, store);
    model.say({"a", "b", "c"});
    id = jobs.start(question(), {"file:///p", ""}, {});
    host.advance(400ms);
    CHECK(jobs.find(id)->text == "ab");
  }
  ScriptedModel other(host);
  other.identity = "other";
  MemoryJobStore next_store(host, store.records());
  Jobs jobs(host, other, next_store);
  other.say({"x", "y"});
  jobs.restore();
  SUBCASE("as soon as it is there") {}
  SUBCASE("where the job was paused, and goes on before it is there") {
    CHECK(jobs.pause(id));
    CHECK(jobs.resume(id));
  }
  other.load();
  host.advance(10s);
  CHECK(other.options.at(0).written.empty());
  CHECK(jobs.find(id)->text == "xy");
  CHECK(read_record(next_store.records().at(0)).text == "xy");
}

TEST_CASE("jobs of before wait for a model that can be had") {
  VirtualHost host;
  ScriptedModel model(host);
  MemoryJobStore store(host);
  JobId id = 0;
  {
    Jobs jobs(host, model, store);
    id = jobs.start(question(), {"file:///p", ""}, {});
  }
  ScriptedModel broken(host);
  MemoryJobStore next_store(host, store.records());
  Jobs jobs(host, broken, next_store);
  jobs.restore();
  broken.fail_loading("no such folder");
  host.advance(10s);
  CHECK(jobs.find(id)->state == JobState::queued);
  CHECK(broken.prompts.empty());
}

TEST_CASE("what is written down of a job is what a crash at any moment leaves of it") {
  VirtualHost host;
  ScriptedModel model(host);
  MemoryJobStore store(host);
  Jobs jobs(host, model, store);
  model.think(3);
  model.say({"a", "b", "c"});
  const JobId id = jobs.start(question(), {"file:///p", ""}, {});
  for (int i = 0; i < 12; ++i) {
    const Job written = read_record(store.records().at(0));
    const Job& now = *jobs.find(id);
    CHECK(written.text == now.text);
    CHECK(written.generated == now.generated);
    CHECK(written.state == now.state);
    host.advance(100ms);
  }
  CHECK(jobs.find(id)->state == JobState::done);
}

TEST_CASE("a job is forgotten with what is written of it, and stopped first") {
  World world;
  world.model.say({"a", "b"});
  const JobId one = world.start();
  world.model.say({"a", "b"});
  const JobId other = world.start();
  world.host.advance(300ms);
  CHECK(world.jobs.forget([one](const Job& job) { return job.id == one; }) == 1);
  world.host.advance(1s);
  CHECK(world.jobs.find(one) == nullptr);
  CHECK(world.jobs.find(other)->state == JobState::done);
  CHECK(world.store.records().size() == 1);
  CHECK(world.model.cancelled.size() == 1);
}

TEST_CASE("a store that cannot write is told of once, and the jobs go on") {
  World world;
  world.store.fail("the disk is full");
  world.model.say({"a"});
  const JobId id = world.start();
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::done);
  CHECK(world.jobs.journal_fault() == "the disk is full");
  const auto told = std::ranges::count_if(world.host.logged, [](const std::string& line) {
    return line.find("cannot be written down") != line.npos;
  });
  CHECK(told == 1);
  world.store.fail("");
  world.model.say({"a"});
  world.start();
  world.host.advance(1s);
  CHECK(world.jobs.journal_fault().empty());
}

TEST_CASE("of very many jobs a bounded number is asked of the model at once, the others follow") {
  World world;
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
  World world;
  world.model.fail("disk \xFF gone");
  const JobId id = world.start();
  world.host.advance(1s);
  CHECK(world.jobs.find(id)->state == JobState::failed);
  CHECK(world.jobs.find(id)->error == "disk \uFFFD gone");
}

TEST_CASE("an announced job is listed, and cancelled or failed before it has a prompt") {
  World world;
  const auto announce = [&] {
    return world.jobs.announce(example(), {}, GenerationProgress::Phase::loading, {});
  };
  const JobId cancelled = announce();
  CHECK(message_of(*world.jobs.find(cancelled)) == "loading the model");
  world.jobs.cancel(cancelled);
  world.jobs.submit(cancelled, example());
  const JobId failed = announce();
  world.jobs.fail(failed, "no such model");
  world.jobs.submit(failed, example());
  world.host.advance(1s);
  CHECK(world.jobs.find(cancelled)->state == JobState::cancelled);
  CHECK(world.jobs.find(failed)->error == "no such model");
  CHECK(world.model.prompts.empty());
}

TEST_CASE("the last hundred ended jobs are remembered, and all that run") {
  World world;
  const JobId running = world.start();
  for (int i = 0; i < 150; ++i) {
    world.jobs.cancel(world.jobs.announce(example(), {}, GenerationProgress::Phase::queued, {}));
  }
  CHECK(world.jobs.find(running) != nullptr);
  CHECK(world.jobs.find(running + 50) == nullptr);
  CHECK(world.jobs.find(running + 51) != nullptr);
  CHECK(world.jobs.all().size() == 101);
  // What is listed no more may be left in the store for a while, but not where somebody forgets.
  for (int i = 0; i < 5; ++i) {
    world.jobs.cancel(world.jobs.announce(example(), {}, GenerationProgress::Phase::queued, {}));
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
  jobs->start(example(), {}, {});
  host.advance(100ms);
  jobs.reset();
  host.advance(1s);
  CHECK(model.steps == 1);
}

TEST_CASE("a job says what was cut, and that its answer is empty") {
  Job job;
  job.state = JobState::done;
  job.text = "Adds";
  CHECK(message_of(job) == "done");
  CHECK(ending_note(job).empty());
  job.finish = FinishReason::length;
  job.progress.answer_tokens = 1;
  CHECK(message_of(job) == "done, but the answer was cut after 1 token (answer.max_tokens)");
  job.thought_cut = true;
  job.progress.thought_tokens = 2048;
  CHECK(ending_note(job) ==
        "The thought was cut after 2048 tokens (thinking.budget), and the answer was cut after 1 "
        "token (answer.max_tokens).");
  job.thought_cut = false;
  job.finish = FinishReason::context_full;
  job.text = "";
  CHECK(message_of(job) ==
        "done, but the answer was cut, as the model's context is full, and the answer is empty");
}

TEST_CASE("a job's wording has its reason and the time that is left") {
  Job job;
  job.progress.phase = GenerationProgress::Phase::prefilling;
  job.progress.prompt_tokens = 340;
  job.progress.prompt_done = 120.7;
  job.state = JobState::prefilling;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens");
  job.progress.eta = 12'400ms;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens, about 12 s left");
  job.progress.eta = 200'000ms;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens, about 3 min left");
  job.progress.eta = 0ms;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens, about 1 s left");
  CHECK(percentage_of(job) == 17);
  CHECK(job_state_params(job, {}).eta_ms == 0);
}

TEST_CASE("a job that waits says for how many and how long") {
  Job job;
  CHECK(message_of(job) == "queued");
  job.progress.ahead = 2;
  CHECK(message_of(job) == "queued behind 2");
  job.progress.first_token = 40'200ms;
  job.progress.eta = 60'000ms;
  job.progress.end = TimeRange{50'000ms, 90'000ms};
  CHECK(message_of(job) == "queued behind 2, begins in about 40 s");
  CHECK(time_left(job) == "begins in about 40 s");
  const auto params = job_state_params(job, {});
  CHECK(params.first_token_ms == 40'200);
  CHECK(params.end_ms == std::array<std::int64_t, 2>{50'000, 90'000});
}

TEST_CASE("the time to the end is told as a range, as finely as it is known") {
  Job job;
  job.state = JobState::generating;
  job.progress.phase = GenerationProgress::Phase::generating;
  job.progress.eta = 1ms;  // the range says more
  const auto left = [&](std::chrono::milliseconds from, std::chrono::milliseconds to) {
    job.progress.end = TimeRange{from, to};
    return message_of(job);
  };
  CHECK(left(17'000ms, 43'000ms) == "generating, 15 to 45 s left");
  CHECK(left(2'400ms, 9'000ms) == "generating, 2 to 9 s left");
  CHECK(left(1'000ms, 43'000ms) == "generating, up to 45 s left");
  CHECK(left(11'000ms, 13'000ms) == "generating, about 12 s left");
  CHECK(left(0ms, 200ms) == "generating, about 1 s left");
  CHECK(left(118'000ms, 130'000ms) == "generating, about 2 min left");
  CHECK(left(70'000ms, 290'000ms) == "generating, 1 to 5 min left");
  CHECK(left(20'000ms, 290'000ms) == "generating, up to 5 min left");
  job.state = JobState::done;
  CHECK(time_left(job).empty());
  CHECK_FALSE(job_state_params(job, {}).end_ms);
}

}  // namespace hearth::lsp::test
