// Jobs of a real daemon: who may stop them, when they stop by themselves, and where answers go.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <csignal>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

// More than can be done before what follows them is handled, some of it by processes that start.
constexpr std::size_t many = 150;
constexpr std::size_t few = 8;

// The editor then waits for so many explanations, the first of which is being written, and the
// daemon has the prompts of all: without one, a job would wait for an editor.
void ask_for(const Home& home, ScriptedEditor& editor, std::size_t explanations) {
  editor.initialize(Json::object(), {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}});
  editor.open(stats_uri, "python", average);
  bool writes = false;
  editor.on_notification = [&](const std::string& method, const Json&) {
    writes = writes || method == "hearth/textDelta";
  };
  for (std::size_t i = 0; i < explanations; ++i) {
    editor.begin("workspace/executeCommand", explain_command(stats_uri, 5));
  }
  editor.until([&] { return writes; });
  const auto are_named = [](const Json& jobs) {  // after the code that their prompts show
    return std::ranges::all_of(jobs,
                               [](const Json& job) { return job["title"] == "Explain average"; });
  };
  for (;;) {
    const Json jobs = home.status()["jobs"];
    if (jobs.size() == explanations && are_named(jobs)) break;
    ::poll(nullptr, 0, 5);
  }
  editor.on_notification = nullptr;
}

std::size_t jobs_in(const Json& jobs, const char* state) {
  return static_cast<std::size_t>(std::count_if(
      jobs.begin(), jobs.end(), [&](const Json& job) { return job["state"] == state; }));
}

// Once no editor is there and every job has ended.
Json jobs_at_rest(const Home& home) {
  for (;;) {
    const Json status = home.status();
    const Json& jobs = status["jobs"];
    const bool ended = std::all_of(jobs.begin(), jobs.end(),
                                   [](const Json& job) { return job.contains("ended"); });
    if (ended && status["clients"].empty()) return jobs;
    ::poll(nullptr, 0, 10);
  }
}

std::vector<fs::path> answers(const Home& home) {
  std::vector<fs::path> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(home.paths().answers(), none)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("answers are written to their end whatever becomes of their editor") {
  const Home home;
  home.hearth("daemon");
  auto editor = home.editor(true);
  ask_for(home, editor, few);
  SUBCASE("the editor exits") {
    CHECK(editor.quit() == 0);
  }
  SUBCASE("the editor is gone") {
    editor.process().close_input();
  }
  SUBCASE("its language server is killed") {
    ::kill(editor.process().pid(), SIGKILL);
  }
  const Json jobs = jobs_at_rest(home);
  CHECK(jobs.size() == few);
  CHECK(jobs_in(jobs, "done") == few);
}

TEST_CASE("a job is shown and cancelled on the command line") {
  const Home home;
  home.hearth("daemon");
  auto editor = home.editor(true);
  ask_for(home, editor, many);
  const Json jobs = home.status()["jobs"];
  const std::string last = jobs.back()["id"].dump();

  const Finished cancelled = home.hearth("jobs cancel " + last);
  CHECK(cancelled.out == "job " + last + " is cancelled\n");
  CHECK(cancelled.code == 0);
  const Finished again = home.hearth("jobs cancel " + last);
  CHECK(again.err == "hearth: job " + last + " has ended already (cancelled)\n");
  CHECK(again.code == 1);
  const Finished shown = home.hearth("jobs show " + last);
  CHECK(shown.code == 0);
  CHECK(shown.out.find("cancelled  Explain ") != std::string::npos);
  CHECK(shown.out.find("about file:///stats.py") != std::string::npos);
  // Others go on.
  CHECK(jobs_in(home.status()["jobs"], "cancelled") == 1);

  const std::string first = jobs.front()["id"].dump();
  Json job;
  auto control = home.control();
  REQUIRE(control);
  do {
    job = ask(*control, "job", jobs.front()["id"].get<std::uint64_t>());
  } while (job["state"] != "done");
  CHECK(job["text"].get<std::string>().starts_with("Computes the average"));
  CHECK(home.hearth("jobs show " + first).out.find("\n\nComputes the average") !=
        std::string::npos);
  CHECK(Json::parse(home.hearth("jobs show --json " + first).out)["text"] == job["text"]);
}

TEST_CASE("what a job's model thought is printed where it is asked for, and nowhere else") {
  Home home;
  const hearth::tests::TemporaryDirectory model;
  const fs::path ember = HEARTH_SOURCE_DIR "/engine/ember";
  for (const auto& file : fs::directory_iterator(ember)) {
    if (file.path().filename() == "hearth.json") continue;
    fs::create_symlink(file.path(), model.path() / file.path().filename());
  }
  Json profile = Json::parse(read_file(ember / "hearth.json", 1 << 20));
  profile["thinking"] = true;
  write_file(model.path() / "hearth.json", profile.dump());
  home.configure("[model]\npath = \"" + model.path().string() +
                 "\"\n[thinking]\nmode = \"on\"\nbudget = 12\n[answer]\nmax_tokens = 16\n");
  home.hearth("daemon");
  auto editor = home.editor(true);
  editor.initialize(Json::object(),
                    {{"hearth", {{"protocol", 3}, {"features", {"jobs", "thoughts"}}}}});
  editor.open(stats_uri, "python", average);
  std::string thought;
  std::string text;
  bool done = false;
  editor.on_notification = [&](const std::string& method, const Json& params) {
    if (method == "hearth/thoughtDelta") thought += params["text"].get<std::string>();
    if (method == "hearth/textDelta") text += params["text"].get<std::string>();
    done = done || (method == "hearth/jobState" && params["state"] == "done");
  };
  editor.begin("workspace/executeCommand", explain_command(stats_uri, 5));
  editor.until([&] { return done; });
  CHECK_FALSE(thought.empty());
  CHECK_FALSE(text.empty());
  const Json job = home.status()["jobs"].back();
  const std::string id = job["id"].dump();
  CHECK_FALSE(job.contains("thought"));
  const Finished shown = home.hearth("jobs show --thought " + id);
  CHECK(shown.code == 0);
  CHECK(shown.out.starts_with(thought.substr(0, thought.find_last_not_of(" \n"))));
  CHECK(Json::parse(home.hearth("jobs show --json " + id).out)["thought"] == thought);
  CHECK(Json::parse(home.hearth("jobs show --json " + id).out)["text"] == text);
  CHECK(home.hearth("jobs show --thought --prompt " + id).code == 2);
}

TEST_CASE("a job is paused, resumed, tried again and followed on the command line") {
  const Home home;
  home.hearth("daemon");
  auto editor = home.editor(true);
  ask_for(home, editor, many);
  const Json jobs = home.status()["jobs"];
  const std::string last = jobs.back()["id"].dump();
  const std::string paused = jobs[many - 2]["id"].dump();
  CHECK(home.hearth("jobs pause " + paused).out == "job " + paused + " is paused\n");
  CHECK(home.hearth("jobs pause " + last).out == "job " + last + " is paused\n");
  CHECK(home.hearth("jobs pause " + last).err ==
        "hearth: job " + last + " does not run (paused)\n");
  CHECK(home.hearth("jobs retry " + last).code == 1);
  CHECK(home.hearth("jobs apply " + last).err.find("does not wait for you") != std::string::npos);
  CHECK(home.hearth("jobs dismiss " + last).code == 1);
  CHECK(home.hearth("jobs cancel " + last).code == 0);
  CHECK(home.hearth("jobs resume " + last).err ==
        "hearth: job " + last + " is not paused (cancelled)\n");
  CHECK(home.hearth("jobs retry " + last).code == 0);
  const Finished followed = home.hearth("jobs follow " + last);
  CHECK(followed.code == 0);
  CHECK(followed.out.starts_with("Computes the average"));
  CHECK(followed.err.ends_with("job " + last + ": done\n"));
  CHECK(home.hearth("jobs resume " + paused).code == 0);
  CHECK(home.hearth("jobs follow " + paused).out == followed.out);
  // Of one that is over, too.
  CHECK(home.hearth("jobs follow " + last).out == followed.out);
  CHECK(home.hearth("jobs list").out == home.hearth("jobs").out);
}

TEST_CASE("a daemon that is killed goes on with its jobs when the next one starts") {
  const Home home;
  home.hearth("daemon");
  auto editor = home.editor(true);
  ask_for(home, editor, few);
  const Json before = home.status();
  // What is handed to the store is on the disk within a second.
  ::poll(nullptr, 0, 1200);
  ::kill(before["pid"].get<pid_t>(), SIGKILL);
  home.hearth("daemon");
  CHECK(home.status()["pid"] != before["pid"]);
  for (const Json& job : before["jobs"]) {
    const std::string id = job["id"].dump();
    const Finished followed = home.hearth("jobs follow " + id);
    CHECK(followed.code == 0);
    CHECK(followed.out.starts_with("Computes the average"));
    CHECK(followed.out == home.hearth("jobs follow " + before["jobs"].front()["id"].dump()).out);
  }
}

TEST_CASE("a job that is not there, or no number, is an error") {
  const Home home;
  home.hearth("daemon");
  for (const char* command : {"jobs show 77", "jobs cancel 77"}) {
    const Finished finished = home.hearth(command);
    CHECK(finished.code == 1);
    CHECK(finished.err == "hearth: there is no job 77 (any more): `hearth jobs` lists them\n");
  }
  CHECK(home.hearth("jobs show").code == 2);
  CHECK(home.hearth("jobs cancel seven").code == 2);
  auto control = home.control();
  REQUIRE(control);
  CHECK_THROWS_WITH(ask(*control, "job"),
                    "the request names no job: {\"request\": \"job\", \"id\": 7}");
}

TEST_CASE("no daemon gives a job's number or its answer's name a second time") {
  const Home home;
  explain_into_a_file(home);
  const auto before = answers(home);
  REQUIRE(before.size() == 1);
  const std::string text = read_file(before.front(), 1 << 20);
  CHECK(text.find("Computes the average") != std::string::npos);
  CHECK(text.find("hearth keeps this file until 20") != std::string::npos);
  const auto number = home.status()["jobs"].front()["id"].get<std::uint64_t>();
  CHECK(stop_daemon(home.paths()) == Stopped::itself);

  explain_into_a_file(home);
  CHECK(home.status()["jobs"].back()["id"].get<std::uint64_t>() > number);
  CHECK(answers(home).size() > before.size());  // the first one is shown again where nobody saw it
  CHECK(read_file(before.front(), 1 << 20) == text);
}

TEST_CASE("a daemon that starts removes the answers that are too old") {
  Home home;
  home.configure("[answer]\nkeep = \"1h\"\n");
  explain_into_a_file(home);
  CHECK(stop_daemon(home.paths()) == Stopped::itself);
  const auto file = answers(home).front();
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(2));
  home.hearth("daemon");
  CHECK(answers(home).empty());
}
