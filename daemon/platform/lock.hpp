// The lock that decides which process is the user's daemon. It is free again the moment that the
// process ends, however it ends.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include "daemon/platform/fd.hpp"

namespace hearth::daemon {

class DaemonLock {
 public:
  // Empty when another process holds it. Throws Error when the file cannot be had.
  static std::optional<DaemonLock> take(const std::filesystem::path& path);

  // False once the file has been removed or replaced: another process may then be the daemon.
  bool on_disk() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  DaemonLock(Fd fd, std::filesystem::path path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::filesystem::path path_;
};

// The process that holds the lock, 0 where its number could not be written; empty when none does.
std::optional<pid_t> holder(const std::filesystem::path& path);

}  // namespace hearth::daemon
