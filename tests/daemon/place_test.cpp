// A daemon whose socket or lock is not the one on disk any more: it notices, and it can be seen,
// stopped and named all the same.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "daemon/platform/files.hpp"
#include "daemon/platform/lock.hpp"
#include "daemon/transport/socket.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

ino_t inode_of(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

// Its parent, whoever that is, may not have waited for it yet.
bool runs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  return line.substr(line.rfind(')'), 3) != ") Z";
}

void wait_until_ended(pid_t pid) {
  while (runs(pid)) ::poll(nullptr, 0, 10);
}

// The test is the daemon's lock's holder, as one that hangs would be.
struct SilentDaemon {
  explicit SilentDaemon(const Home& home) : child({"/bin/sh", "-c", command(home)}, {}) {
    char line[16];
    REQUIRE(::read(child.from(), line, sizeof line) > 0);
  }
  static std::string command(const Home& home) {
    make_private_directory(home.paths().runtime);
    const std::string lock = home.paths().lock().string();
    return "exec 9<>'" + lock + "'; flock 9 && echo $$ > '" + lock + "' && echo ready && exec cat";
  }
  Child child;
};

}  // namespace

TEST_CASE("a socket that was removed is made anew, and its sessions go on") {
  const Home home;
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  const pid_t daemon = home.daemon_pid();
  SUBCASE("removed") {
    fs::remove(home.paths().socket());
  }
  SUBCASE("replaced") {
    fs::rename(home.paths().socket(), home.paths().runtime / "aside");
    std::ofstream(home.paths().socket()) << "no socket";
  }
  SUBCASE("renamed") {
    fs::rename(home.paths().socket(), home.paths().runtime / "aside");
  }
  while (!home.control()) ::poll(nullptr, 0, 10);
  CHECK(home.daemon_pid() == daemon);
  CHECK(home.status()["clients"].size() == 1);
  CHECK(editor.quit() == 0);
  CHECK(home.hearth("stop").out == "the daemon has stopped\n");
  CHECK_FALSE(fs::exists(home.paths().socket()));
}

TEST_CASE("a daemon whose lock was removed ends, and leaves its successor's socket alone") {
  const Home home;
  REQUIRE(home.hearth("daemon").code == 0);
  const pid_t first = home.daemon_pid();
  const fs::path log = home.paths().log();
  SUBCASE("the lock") {
    // It cannot notice before the second is there.
    ::kill(first, SIGSTOP);
    fs::remove(home.paths().lock());
    fs::remove(home.paths().socket());
  }
  SUBCASE("the whole directory") {
    ::kill(first, SIGSTOP);
    fs::remove_all(home.paths().runtime);
  }
  REQUIRE(home.hearth("daemon").code == 0);
  const pid_t second = home.daemon_pid();
  const ino_t socket = inode_of(home.paths().socket());
  CHECK(second != first);
  ::kill(first, SIGCONT);
  wait_until_ended(first);
  CHECK(inode_of(home.paths().socket()) == socket);
  CHECK(home.daemon_pid() == second);
  CHECK(read_file(log, 1 << 20).find("is not its lock any more") != std::string::npos);
}

TEST_CASE("a daemon whose lock is alone removed ends") {
  const Home home;
  REQUIRE(home.hearth("daemon").code == 0);
  const pid_t daemon = home.daemon_pid();
  fs::remove(home.paths().lock());
  wait_until_ended(daemon);
  CHECK_FALSE(fs::exists(home.paths().socket()));
}

TEST_CASE("a daemon that does not answer is named by its lock, and stopped") {
  const Home home;
  SilentDaemon silent(home);
  const std::string who = "process " + std::to_string(silent.child.pid()) + " is the daemon";
  for (const char* command : {"status", "jobs"}) {
    const Finished asked = home.hearth(command);
    CHECK(asked.code == 1);
    CHECK(asked.err.find(who) != std::string::npos);
    CHECK(asked.err.find("`hearth stop` ends it") != std::string::npos);
  }
  CHECK(home.hearth("stop").out == "the daemon has stopped\n");
  CHECK(silent.child.wait() == 128 + SIGTERM);
  CHECK(home.hearth("stop").out == "no daemon was running\n");
}

TEST_CASE("a start that fails because of a silent daemon names it") {
  const Home home;
  SilentDaemon silent(home);
  const Finished started = home.hearth("daemon");
  CAPTURE(started.err);
  CHECK(started.code == 1);
  CHECK(started.err.find("process " + std::to_string(silent.child.pid()) + " is the daemon") !=
        std::string::npos);
  silent.child.close_input();
}

TEST_CASE("the lock knows whether it is the one on disk") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "lock";
  const auto first = DaemonLock::take(path);
  REQUIRE(first);
  CHECK(first->on_disk());
  fs::remove(path);
  CHECK_FALSE(first->on_disk());
  const auto second = DaemonLock::take(path);
  REQUIRE(second);
  CHECK(second->on_disk());
  CHECK_FALSE(first->on_disk());
}
