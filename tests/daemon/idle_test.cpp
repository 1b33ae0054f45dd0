// A daemon and its stdio proxy that have nothing to do do nothing: none of their threads runs.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/inotify.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "daemon/platform/fd.hpp"
#include "engine/support/pressure.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using hearth::tests::Home;
using hearth::tests::Json;
namespace fs = std::filesystem;

namespace {

using Switches = std::map<std::string, std::uint64_t>;  // by "thread (name)"

// How often each thread of a process has run until now.
Switches switches_of(pid_t pid) {
  Switches all;
  for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream status(thread.path() / "status");
    std::string name;
    std::uint64_t count = 0;
    for (std::string word; status >> word;) {
      if (word == "Name:") status >> name;
      std::uint64_t some = 0;
      if (word.ends_with("voluntary_ctxt_switches:") && status >> some) count += some;
    }
    all[thread.path().filename().string() + " (" + name + ")"] = count;
  }
  return all;
}

// What ran in the meantime, for people; the number of times.
std::uint64_t difference(const Switches& before, const Switches& after) {
  std::uint64_t total = 0;
  for (const auto& [thread, count] : after) {
    const auto found = before.find(thread);
    const std::uint64_t more = count - (found == before.end() ? 0 : found->second);
    if (more > 0) MESSAGE(thread << " ran " << more << " times");
    total += more;
  }
  return total;
}

void let_pass(int seconds) {
  ::poll(nullptr, 0, seconds * 1'000);
}

// What the kernel does not tell has to be looked at.
bool kernel_tells() {
  const auto signal = hearth::engine::open_pressure_signal();
  const Fd pressure(signal.descriptor);
  const Fd files(::inotify_init1(IN_CLOEXEC));
  return pressure && files;
}

// Microseconds in which somebody waited for memory, since the system's start: pressure is a reason
// to run. The kernel looks at the last 2 s, so a wait from before may be what it tells of.
std::uint64_t stalls() {
  std::ifstream pressure("/proc/pressure/memory");
  for (std::string word; pressure >> word;) {
    if (word.starts_with("total=")) return std::stoull(word.substr(6));
  }
  return 0;
}

}  // namespace

TEST_CASE("nothing wakes a daemon and a stdio proxy that nobody asks for anything") {
  const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  const int seconds = is_long ? 60 : 8;
  Home home;
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  while (home.status()["model"]["state"] == "loading") ::poll(nullptr, 0, 20);
  const pid_t daemon = home.daemon_pid();
  const pid_t proxy = editor.process().pid();

  // What comes after the start: the warm-up, threads that look for work a little longer, and once
  // more the event loop for a hello's deadline (10 s) that was called off.
  bool quiet = false;
  std::uint64_t stalls_before = 0;
  for (int i = 0; i < 10 && !quiet; ++i) {
    stalls_before = stalls();
    const Switches before = switches_of(daemon);
    let_pass(kernel_tells() ? 11 : 5);  // or between two looks
    quiet = switches_of(daemon) == before;
  }
  REQUIRE(quiet);

  const Switches daemon_before = switches_of(daemon);
  const Switches proxy_before = switches_of(proxy);
  let_pass(seconds);
  const std::uint64_t signals = (stalls() - stalls_before) / 50'000;
  const std::uint64_t woken = difference(daemon_before, switches_of(daemon));
  const std::uint64_t max =
      (kernel_tells() ? 0 : static_cast<std::uint64_t>(seconds) / 10 + 1) + 2 * signals;
  MESSAGE("the daemon's threads ran " << woken << " times in " << seconds << " s");
  CHECK(woken <= max);
  CHECK(difference(proxy_before, switches_of(proxy)) == 0);
  CHECK(editor.quit() == 0);
}

TEST_CASE("the idle time is counted from the last editor's leaving") {
  Home home;
  home.configure("[daemon]\nidle_exit = \"2s\"\n");
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  const pid_t daemon = home.daemon_pid();
  let_pass(3);
  CHECK(home.daemon_pid() == daemon);  // an editor is there
  CHECK(editor.quit() == 0);
  home.wait_until_gone();
}
