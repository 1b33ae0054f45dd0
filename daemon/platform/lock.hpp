// The lock that decides which process is the user's daemon. It is free again the moment that the
// process ends, however it ends.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include "daemon/fd.hpp"

namespace hearth::daemon {

class DaemonLock {
 public:
  // Empty when another process holds it. Throws Error when the file cannot be had.
  static std::optional<DaemonLock> take(const std::filesystem::path& path);

 private:
  explicit DaemonLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// The process that holds the lock, 0 where its number could not be written; empty when none does.
std::optional<pid_t> holder(const std::filesystem::path& path);

}  // namespace hearth::daemon
