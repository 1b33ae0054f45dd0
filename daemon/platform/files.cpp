// Files as the daemon reads and writes them: its own errors, and nothing that can hang.
#include "daemon/platform/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "daemon/platform/error.hpp"
#include "daemon/platform/fd.hpp"
#include "engine/support/atomic_file.hpp"

namespace hearth::daemon {

void write_file(const std::filesystem::path& path, std::string_view text) {
  try {
    engine::AtomicFile file(path);
    file.write(text);
    file.publish();
  } catch (const engine::Error& failed) {
    throw Error(failed.what());
  }
}

std::filesystem::path link_target(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  constexpr int max_links = 40;  // the kernel follows no more
  fs::path target = path;
  for (int links = 0; links < max_links; ++links) {
    std::error_code none;
    const fs::path next = target.parent_path() / fs::read_symlink(target, none);
    if (none) return target;
    const fs::path directory = fs::weakly_canonical(next.parent_path(), none);
    if (none) return path;
    target = directory / next.filename();
  }
  return path;
}

const char* kind_of_file(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISLNK(mode)) return "a link";
  return S_ISREG(mode) ? "a regular file" : "a device";
}

std::string read_all(const Fd& fd, const std::filesystem::path& path, std::size_t limit) {
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error("cannot read " + path.string(), errno);
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > limit) {
      throw Error("cannot read " + path.string() + ": it has more than " + std::to_string(limit) +
                  " bytes");
    }
  }
}

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
  // O_NONBLOCK: opening a pipe without a writer must not hang; regular files ignore it.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    throw system_error("cannot read " + path.string(), errno);
  }
  if (!S_ISREG(info.st_mode)) {
    throw Error("cannot read " + path.string() + ": it is " + kind_of_file(info.st_mode) +
                ", not a regular file");
  }
  return read_all(fd, path, limit);
}

}  // namespace hearth::daemon
