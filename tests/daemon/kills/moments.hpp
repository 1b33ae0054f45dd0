// Moments in a daemon's life, seen from outside: what it says of a job, what it writes. And how it
// is killed at one of them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "daemon/platform/fd.hpp"
#include "daemon/transport/control_client.hpp"
#include "tests/daemon/home.hpp"

namespace hearth::tests {

// Asks the daemon that runs now, whichever that is.
class Watcher {
 public:
  explicit Watcher(const Home& home) : home_(home) {}
  // Empty where no daemon answers, or it has no such job.
  std::optional<Json> job(std::uint64_t id);
  std::optional<Json> status();
  // A daemon has said that it has no such job.
  bool is_denied(std::uint64_t id);

 private:
  std::optional<Json> asked(const char* request, std::uint64_t job);

  const Home& home_;
  std::optional<daemon::Connected> control_;
  std::string refusal_;  // of the last request, or why it has no answer
};

// Writes to files of a directory whose names begin as said.
class Writes {
 public:
  Writes(const std::filesystem::path& directory, std::string name);
  // Waits for one from now on; false: there was none within the time.
  bool next(std::chrono::milliseconds time);

 private:
  daemon::Fd inotify_;
  std::string name_;
};

// The process that holds the daemon's lock; 0: none.
pid_t daemon_of(const Home& home);
// kill -9. False: there was no daemon.
bool kill_daemon(const Home& home);

}  // namespace hearth::tests
