// Documents whose parse ended a daemon, and the line that a fatal signal leaves.
#include "daemon/parse_marks.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

constexpr auto uri = "file:///tmp/list.lua";
constexpr std::size_t largest_log = 1 << 20;

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

std::size_t jobs_done(const Home& home) {
  const Json jobs = home.status()["jobs"];
  return static_cast<std::size_t>(std::count_if(
      jobs.begin(), jobs.end(), [](const Json& job) { return job["state"] == "done"; }));
}

}  // namespace

TEST_CASE("a document is marked while it is parsed, and a mark that was left refuses it") {
  const TemporaryDirectory directory;
  Log log({}, hearth::lsp::LogLevel::error, false);
  const fs::path marks = directory.path() / "parsing";
  // Each is there until the end, as one that was killed never gets to its destructor.
  ParseMarks first(marks, log);
  CHECK(first.begin("file:///done.lua"));
  CHECK(files_in(marks) == 1);
  first.end("file:///done.lua");
  CHECK(files_in(marks) == 0);
  CHECK(first.begin(uri));
  CHECK(first.begin(uri));  // on another thread
  first.end(uri);
  CHECK(files_in(marks) == 1);
  CHECK_FALSE(first.is_news(uri));

  ParseMarks second(marks, log);
  CHECK_FALSE(second.begin(uri));
  CHECK(second.is_news(uri));
  CHECK_FALSE(second.is_news(uri));
  CHECK_FALSE(second.is_news("file:///done.lua"));
  CHECK(second.begin("file:///done.lua"));
  second.end("file:///done.lua");
  CHECK_FALSE(second.begin(uri));
  {
    ParseMarks stopped(marks, log);
    CHECK_FALSE(stopped.begin(uri));
  }
  ParseMarks next(marks, log);
  CHECK(next.begin(uri));
}

TEST_CASE("what is no mark is removed, and where marks cannot be kept documents are parsed") {
  const TemporaryDirectory directory;
  const TemporaryDirectory logs;
  Log log(logs.path() / "hearth.log", hearth::lsp::LogLevel::info, false);
  const fs::path marks = directory.path() / "parsing";
  fs::create_directory(marks);
  std::ofstream(marks / "0123456789abcdef") << "file:///cut";
  fs::create_symlink("/etc/passwd", marks / "link");
  {
    ParseMarks taken(marks, log);
    CHECK(taken.begin("file:///cut"));
    taken.end("file:///cut");
    CHECK(files_in(marks) == 0);
    CHECK(fs::exists("/etc/passwd"));
    CHECK(read_file(logs.path() / "hearth.log", largest_log)
              .find("cut off or of an earlier version: 2 removed") != std::string::npos);
  }
  fs::remove(marks);
  fs::create_symlink(directory.path(), marks);
  ParseMarks none(marks, log);
  CHECK(none.begin(uri));
  none.end(uri);
  CHECK(files_in(directory.path()) == 1);
}

TEST_CASE("a grammar that ends the daemon costs its document the tree, and nobody a session") {
  const Home home;
  const std::string program = HEARTH_BINARY_DIR "/hearth-aborting";
  auto first = home.editor_of(program, true);
  const Messages told_first(first);
  first.initialize(Json::object(), nullptr);
  auto second = home.editor_of(program, true);
  const Messages told_second(second);
  second.initialize(Json::object(), nullptr);
  const std::string other = "file:///tmp/stats.py";
  second.open(other, "python", "def average(values):\n    return sum(values) / len(values)\n");
  REQUIRE_FALSE(actions(second, other, 1).empty());
  const pid_t killed = home.daemon_pid();

  first.open(uri, "lua", "function sum(a, b)\n  return a +\xF0\x9F\x92\xA5\nend\n");
  first.wait(first.begin("workspace/executeCommand", explain_command(uri, 3)));
  first.until([&] { return told_first.with("served by its lines") == 1; });
  CHECK(told_first.shown.back().find("list.lua") != std::string::npos);
  const pid_t next = home.daemon_pid();
  CHECK(next != killed);

  // Now by its lines; the other editor notices that the daemon was started again, no more.
  first.request("workspace/executeCommand", explain_command(uri, 3));
  second.request("workspace/executeCommand", explain_command(other, 1));
  while (jobs_done(home) < 2) ::poll(nullptr, 0, 20);
  CHECK(home.daemon_pid() == next);
  CHECK(told_first.with("served by its lines") == 1);
  CHECK(told_second.with("served by its lines") == 0);

  const std::string log = read_file(home.paths().log(), largest_log);
  CHECK(log.find(" error process " + std::to_string(killed) +
                 " is ended by signal 6 (SIGABRT)\n") != std::string::npos);
  CHECK(log.find("ended while it parsed " + std::string(uri)) != std::string::npos);
  CHECK(first.quit() == 0);
  CHECK(second.quit() == 0);
}

TEST_CASE("a fatal signal leaves a line in the log, in the form of the others") {
  const Home home;
  for (const auto& [signal, name] : {std::pair{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}}) {
    home.hearth("daemon");
    const pid_t pid = home.daemon_pid();
    ::kill(pid, signal);
    home.wait_until_gone();
    const std::string log = read_file(home.paths().log(), largest_log);
    const std::string end = " error process " + std::to_string(pid) + " is ended by signal " +
                            std::to_string(signal) + " (" + name + ")\n";
    REQUIRE(log.ends_with(end));
    const std::size_t line = log.rfind('\n', log.size() - 2) + 1;
    CHECK(log.size() - end.size() - line == std::string("2026-11-29 02:20:17.123").size());
    CHECK(log.substr(line, 2) == "20");
  }
}
