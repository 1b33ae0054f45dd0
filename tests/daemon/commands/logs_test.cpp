// `hearth logs` and `hearth restart`.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/terminal.hpp"

using namespace hearth::daemon;
using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Terminal;

namespace fs = std::filesystem;

namespace {

void add_line(const fs::path& log, const std::string& line) {
  std::ofstream(log, std::ios::app) << line << "\n";
}

}  // namespace

TEST_CASE("logs shows the end of the log, and says where none is yet") {
  const Home home;
  const Finished none = home.hearth("logs");
  CHECK(none.code == 1);
  CHECK(contains(none.err, "there is no log yet"));
  CHECK(contains(none.err, home.paths().log().string()));

  fs::create_directories(home.paths().state);
  std::string text;
  for (int i = 1; i <= 100; ++i) text += "line " + std::to_string(i) + "\n";
  write_file(home.paths().log(), text);
  CHECK(home.hearth("logs -n 2").out == "line 99\nline 100\n");
  CHECK(home.hearth("logs -n 0").out.empty());
  CHECK(home.hearth("logs --lines 1000").out == text);
  CHECK(std::ranges::count(home.hearth("logs").out, '\n') == 40);
  write_file(home.paths().log(), text + "half");
  CHECK(home.hearth("logs -n 2").out == "line 100\nhalf");
}

TEST_CASE("logs goes on with what is added, also when the log is begun anew") {
  const Home home;
  Terminal terminal({"/bin/sh", "-c", "exec '" + hearth::tests::program() + "' logs --follow"},
                    home.environment());
  fs::create_directories(home.paths().state);  // a log that is not there yet is waited for
  add_line(home.paths().log(), "the first");
  terminal.until("the first");
  add_line(home.paths().log(), "the second");
  terminal.until("the second");
  fs::rename(home.paths().log(), home.paths().log().string() + ".1");
  add_line(home.paths().log(), "of the next file");
  terminal.until("of the next file");
  terminal.signal(SIGINT);
  CHECK(terminal.finish() == 0);
}

TEST_CASE("restart takes up the configuration as it is now, and starts where none runs") {
  Home home;
  CHECK(home.hearth("restart").code == 0);
  const pid_t first = home.daemon_pid();
  CHECK(home.status()["model"]["contextTokens"] != 128);
  home.configure("[model]\ncontext = 128\n");
  const Finished again = home.hearth("restart");
  CHECK(again.code == 0);
  CHECK(contains(again.out, "the daemon runs"));
  CHECK(home.daemon_pid() != first);
  CHECK(home.status()["model"]["contextTokens"] == 128);
}
