// flock on a file that holds the owner's pid.
#include "daemon/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "daemon/error.hpp"
#include "daemon/files.hpp"

namespace hearth::daemon {
namespace {

Fd open_lock(const std::filesystem::path& path, int flags) {
  return Fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace

std::optional<DaemonLock> DaemonLock::take(const std::filesystem::path& path) {
  Fd fd = open_lock(path, O_RDWR | O_CREAT);
  if (!fd) throw system_error("cannot open " + path.string(), errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    throw system_error("cannot lock " + path.string(), errno);
  }
  // For messages only: on a full disk the lock holds all the same.
  const std::string pid = std::to_string(::getpid()) + "\n";
  const bool named = ::ftruncate(fd.get(), 0) == 0 && ::write(fd.get(), pid.data(), pid.size()) > 0;
  static_cast<void>(named);
  return DaemonLock(std::move(fd));
}

std::optional<pid_t> holder(const std::filesystem::path& path) {
  const Fd fd = open_lock(path, O_RDONLY);
  if (!fd || ::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  char text[32] = {};
  const ssize_t got = ::pread(fd.get(), text, sizeof text - 1, 0);
  return got > 0 ? static_cast<pid_t>(std::strtol(text, nullptr, 10)) : 0;
}

}  // namespace hearth::daemon
