// `hearth pull` is killed at random moments: the next one goes on, and what comes of it is right.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <random>

#include "daemon/hub/partial.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/spawn.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/hub/hub_server.hpp"

using namespace hearth::tests;
using hearth::daemon::Child;
using hearth::daemon::read_file;
using hearth::hub::recorded_bytes;

namespace fs = std::filesystem;

namespace {

const fs::path ember = HEARTH_SOURCE_DIR "/engine/ember";

bool is_ember(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(ember)) {
    const fs::path file = folder / entry.path().filename();
    if (entry.path().extension() == ".md") continue;
    if (!fs::exists(file) || read_file(file, 1 << 26) != read_file(entry.path(), 1 << 26))
      return false;
  }
  return true;
}

bool has_ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

}  // namespace

TEST_CASE("a pull that is killed at random never starts over and takes no damaged file") {
  const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  const int kills = is_long ? 100 : 4;
  bool corrupts = false;
  SUBCASE("from a server that is only slow") {}
  SUBCASE("from one that damages files as well, and has another commit by then") {
    corrupts = true;
  }
  HubFaults faults;
  faults.bytes_per_second = is_long ? 600'000 : 3'000'000;
  HubServer server(ember, faults);
  Home home;
  const fs::path folder = home.paths().models / "ember";
  const fs::path partial = folder.string() + hearth::hub::partial_suffix;
  auto environment = home.environment();
  environment["HF_ENDPOINT"] = server.origin();
  environment["HF_TOKEN"] = "";
  const std::vector<std::string> command{program(), "pull", HubServer::id};
  std::mt19937 random(11);
  std::uint64_t kept = 0;
  int done = 0;
  for (int kill = 0; kill < kills; ++kill) {
    // What was begun has its commit; what is begun would take the new one.
    if (corrupts && kept > 0 && random() % 4 == 0) {
      server.change([](HubFaults& damaging) {
        damaging.corrupt = 1;
        damaging.commit = second_commit;
      });
    }
    Child child(command, environment, true);
    // At any moment of its start, or at any after it has got further than the one before.
    if (random() % 3 != 0) {
      while (recorded_bytes(partial) <= kept && !has_ended(child.pid())) ::poll(nullptr, 0, 5);
    }
    ::poll(nullptr, 0, static_cast<int>(random() % 100));
    ::kill(child.pid(), SIGKILL);
    child.wait();
    if (fs::exists(folder)) {
      CHECK(is_ember(folder));
      fs::remove_all(folder);
      kept = 0;
      ++done;
      server.change([](HubFaults& again) { again.commit = first_commit; });
      continue;
    }
    const std::uint64_t now = recorded_bytes(partial);
    if (!corrupts) CHECK(now >= kept);
    kept = now;
  }
  server.change([](HubFaults& quick) { quick.bytes_per_second = quick.corrupt = 0; });
  const std::uint64_t sent = server.sent();
  Child last(command, environment, true);
  CHECK(last.wait() == 0);
  CHECK(is_ember(folder));
  if (!corrupts) CHECK(server.sent() - sent < 23'000'000 - kept + 1'000'000);
  CHECK((done > 0 || kept > 0));
  MESSAGE(kills << " kills, " << done << " downloads ended before theirs; the last one began with "
                << kept << " bytes and fetched " << server.sent() - sent);
}
