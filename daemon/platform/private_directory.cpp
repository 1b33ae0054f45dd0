// openat() and its like, all of them without following links.
#include "daemon/platform/private_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "engine/support/atomic_file.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

}  // namespace

PrivateDirectory::PrivateDirectory(const fs::path& path)
    : PrivateDirectory(
          [&] {
            std::error_code failed;  // shows when the directory itself is made
            if (path.has_parent_path()) fs::create_directories(path.parent_path(), failed);
            return path;
          }(),
          AT_FDCWD, path.c_str()) {}

PrivateDirectory PrivateDirectory::below(const std::string& name) const {
  return {path_ / name, fd_.get(), name.c_str()};
}

PrivateDirectory::PrivateDirectory(fs::path path, int at, const char* name)
    : path_(std::move(path)) {
  if (::mkdirat(at, name, 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot make the directory " + path_.string(), errno);
  }
  fd_ = Fd(::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd_ && (errno == ELOOP || errno == ENOTDIR)) {
    throw Error(path_.string() + " is a link or no directory: remove it");
  }
  if (!fd_) throw system_error("cannot open the directory " + path_.string(), errno);
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) throw system_error(path_.string(), errno);
  if (info.st_uid != ::getuid()) {
    throw Error(path_.string() + " belongs to user " + std::to_string(info.st_uid) +
                ": hearth uses only a directory of its own user");
  }
  if ((info.st_mode & 0077) != 0 && ::fchmod(fd_.get(), 0700) != 0) {
    throw system_error("cannot make " + path_.string() + " private", errno);
  }
}

Fd PrivateDirectory::open(const std::string& name, int flags) const {
  const fs::path path = path_ / name;
  // Without O_NONBLOCK a pipe of that name would wait for its other end.
  Fd fd(::openat(fd_.get(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!fd && (errno == ELOOP || errno == ENXIO)) {
    throw Error(path.string() + " is a link or no file: remove it");
  }
  if (!fd) throw system_error("cannot open " + path.string(), errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw system_error(path.string(), errno);
  if (!S_ISREG(info.st_mode)) throw Error(path.string() + " is a link or no file: remove it");
  if (info.st_uid != ::getuid() || info.st_nlink > 1) {
    throw Error(path.string() + " belongs to user " + std::to_string(info.st_uid) + " and has " +
                std::to_string(info.st_nlink) +
                " names: hearth uses only files of its own user with one: remove it");
  }
  return fd;
}

std::string PrivateDirectory::read(const std::string& name, std::size_t limit) const {
  return read_all(open(name, O_RDONLY), path_ / name, limit);
}

void PrivateDirectory::write(const std::string& name, std::string_view text) const {
  try {
    engine::AtomicFile file(fd_.get(), path_ / name);
    file.write(text);
    file.publish();
  } catch (const engine::Error& failed) {
    throw Error(failed.what());
  }
}

bool PrivateDirectory::rename(const std::string& from, const std::string& to) const {
  return ::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) == 0;
}

bool PrivateDirectory::remove(const std::string& name) const {
  return ::unlinkat(fd_.get(), name.c_str(), 0) == 0;
}

}  // namespace hearth::daemon
