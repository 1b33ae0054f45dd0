// What is written down of jobs, and what the next process makes of it.
#include "lsp/jobs/journal.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "tests/lsp/jobs/jobs_world.hpp"

namespace hearth::lsp::test {

using namespace std::chrono_literals;
using nlohmann::json;

TEST_CASE("a request survives being written down") {
  const Request request = example_request();
  const json written = json::parse(json(request).dump());
  const auto read = written.get<Request>();
  CHECK(json(read) == json(request));
  CHECK(read.targets == request.targets);
  CHECK(read.options.priority == Priority::background);
  CHECK(text_of(read.prompt.messages.at(1).segments) == "def averageExplain \"it\" 😀\n");
  CHECK(read.prompt.messages.at(0).segments.at(0).boundary);
  CHECK(read.prompt.messages.at(2).thinking == true);
  CHECK_FALSE(read.prompt.messages.at(1).thinking);
  CHECK(read.options.thinking == false);
  Request unsaid = request;
  unsaid.options.thinking.reset();
  CHECK_FALSE(json(unsaid).get<Request>().options.thinking);

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
  json written = example_request();
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
  const Request request = example_request();
  const auto nothing = [](const std::string&) { return SnapshotPtr(); };
  const Effect now = explain.apply(request, {"Adds."}, nothing);
  CHECK(explain.apply(json(request).get<Request>(), {"Adds."}, nothing) == now);
  CHECK(now == Effect{"Adds."});
  CHECK(action_with_command("hearth.server.explain") == &explain);
  CHECK(action_with_command("hearth.explain") == nullptr);
}

TEST_CASE("a job survives being written down, whatever became of it") {
  Job job;
  job.id = 7;
  job.origin = {"file:///p", "vim 7"};
  job.request = example_request();
  job.state = JobState::waiting;
  job.text = "```\né\n```";
  job.thought = "\"wrong()\"?\n";
  job.generated = {7, 0, 151643};
  job.error = "\"why\"";
  job.finish = FinishReason::length;
  job.thought_cut = true;
  job.progress.answer_tokens = 9;
  job.prompt_time = 100ms;
  job.request.new_files_in = "file:///p";
  job.sent = {{"file:///b.py", "", "", "all of it", "", true},
              {"file:///a.py", "before", "", "inserted 😀", "after", false}};
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
  CHECK(read.request.new_files_in == "file:///p");
  CHECK(request_text(read.request) == request_text(job.request));
  CHECK(standing_text(read) == standing_text(job));
  CHECK(read.text == job.text);
  CHECK(read.thought == job.thought);
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
    done = jobs.start(text_request(), {"file:///p", ""}, {});
    host.advance(1s);
    jobs.shown(done);
    model.say({"a", "b", "c", "d"});
    running = jobs.start(text_request(), {"file:///p", ""}, {});
    model.say({"1", "2"});
    paused = jobs.start(text_request(), {"file:///p", ""}, {});
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
  CHECK(jobs.start(text_request(), {}, {}) > 78);
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
    Request request = text_request();
    request.prompt.messages.push_back({Role::assistant, {}, {1, 2, 3}});
    id = jobs.start(request, {"file:///p", ""}, {});
    host.advance(400ms);
    CHECK(jobs.find(id)->text == "ab");
    CHECK(model.prompts.at(0).messages.back().generated.size() == 3);
    CHECK(jobs.speaks_in_tokens(*jobs.find(id)));
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
  CHECK(other.prompts.at(0).messages.back().generated.empty());
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
    id = jobs.start(text_request(), {"file:///p", ""}, {});
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
  const JobId id = jobs.start(text_request(), {"file:///p", ""}, {});
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
  JobsWorld world;
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

}  // namespace hearth::lsp::test
