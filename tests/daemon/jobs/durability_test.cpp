// A process that is killed while it writes: what was confirmed is there, and no text without its
// tokens.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "daemon/jobs/sqlite_store.hpp"
#include "tests/daemon/jobs/records.hpp"
#include "tests/temporary_directory.hpp"

namespace fs = std::filesystem;

namespace hearth::tests {
namespace {

// What the child says through a pipe, each once it is true.
struct Said {
  std::uint64_t id = 0;
  std::uint64_t confirmed = 0;  // this many changes of the job; 0: the id was given out
};

// Starts jobs and writes into them without end. Text and tokens of an append: as many bytes as
// tokens, and after each a change that counts.
[[noreturn]] void write_for_ever(const fs::path& directory, int pipe, unsigned seed) {
  LoggingHost host;
  daemon::SqliteJobStore store(host, directory / "jobs.sqlite", directory / "last_job");
  store.load();
  std::mt19937 random(seed);
  const auto say = [&](const Said& said) {
    if (::write(pipe, &said, sizeof said) != sizeof said) ::_exit(1);
  };
  for (;;) {
    const lsp::JobId id = store.next_id();
    say({id, 0});
    store.create(record(id));
    std::uint64_t last = 0;
    const std::uint64_t changes = 1 + random() % 8;
    for (std::uint64_t number = 1; number <= changes; ++number) {
      const std::size_t tokens = 1 + random() % 3000;
      store.append(id, std::string(tokens, 'x'), std::vector<std::int32_t>(tokens, 5));
      store.change(id, standing(std::to_string(number)),
                   [&, id, number](const std::string& failure) {
                     if (!failure.empty()) ::_exit(2);
                     say({id, number});
                     last = number;
                   });
      if (random() % 2 == 0) host.run_until([&] { return last == number; });
    }
    host.run_until([&] { return last == changes; });
  }
}

}  // namespace

TEST_CASE(
    "what a killed process was told is written is there; text and tokens agree; no id comes "
    "twice") {
  const TemporaryDirectory directory;
  std::mt19937 random(77);
  std::map<std::uint64_t, std::uint64_t> confirmed;
  std::uint64_t last_id = 0;
  for (unsigned round = 0; round < 12; ++round) {
    CAPTURE(round);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(ends[0]);
      write_for_ever(directory.path(), ends[1], round);
    }
    ::close(ends[1]);
    // Some way into its work, at whatever it does then.
    const auto listens = random() % 60;
    const auto hear = [&](const Said& said) {
      if (said.confirmed == 0) {
        CHECK(said.id > last_id);
        last_id = said.id;
      }
      confirmed[said.id] = std::max(confirmed[said.id], said.confirmed);
    };
    Said said;
    for (std::size_t heard = 0; heard <= listens; ++heard) {
      REQUIRE(::read(ends[0], &said, sizeof said) == sizeof said);
      hear(said);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    ::kill(child, SIGKILL);
    while (::read(ends[0], &said, sizeof said) == sizeof said) hear(said);
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));

    daemon::JobFile file(directory.path() / "jobs.sqlite");
    CHECK(file.note().empty());
    std::map<std::uint64_t, lsp::JobRecord> found;
    for (auto& read : file.take_records()) found[read.id] = std::move(read);
    for (const auto& [id, changes] : confirmed) {
      CAPTURE(id);
      if (changes == 0) continue;
      REQUIRE(found.contains(id));
      CHECK(std::stoull(found[id].standing) >= changes);
    }
    for (const auto& [id, read] : found) {
      CAPTURE(id);
      CHECK(read.text.size() == read.tokens.size());
      if (read.standing == "queued") continue;
      CHECK(read.text.size() >= std::stoull(read.standing));  // each brought one at least
    }
  }
}

}  // namespace hearth::tests
