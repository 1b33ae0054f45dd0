// flock on a file that holds the owner's pid.
#include "daemon/platform/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"

namespace hearth::daemon {
namespace {

Fd open_lock(const std::filesystem::path& path, int flags) {
  return Fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
}

}  // namespace

std::optional<DaemonLock> DaemonLock::take(const std::filesystem::path& path) {
  for (;;) {
    Fd fd = open_lock(path, O_RDWR | O_CREAT);
    if (!fd) throw system_error("cannot open " + path.string(), errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::nullopt;
      throw system_error("cannot lock " + path.string(), errno);
    }
    DaemonLock lock(std::move(fd), path);
    if (!lock.on_disk()) continue;  // removed between the two calls
    // For messages only: on a full disk the lock holds all the same.
    const std::string pid = std::to_string(::getpid()) + "\n";
    const bool named =
        ::ftruncate(lock.fd_.get(), 0) == 0 && ::write(lock.fd_.get(), pid.data(), pid.size()) > 0;
    static_cast<void>(named);
    return lock;
  }
}

bool DaemonLock::on_disk() const {
  struct stat held {};
  struct stat named {};
  return ::fstat(fd_.get(), &held) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

std::optional<pid_t> holder(const std::filesystem::path& path) {
  const Fd fd = open_lock(path, O_RDONLY);
  if (!fd || ::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;
  char text[32] = {};
  const ssize_t got = ::pread(fd.get(), text, sizeof text - 1, 0);
  return got > 0 ? static_cast<pid_t>(std::strtol(text, nullptr, 10)) : 0;
}

}  // namespace hearth::daemon
