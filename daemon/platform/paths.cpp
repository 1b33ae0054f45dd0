// XDG directories and private ones.
#include "daemon/paths.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>

#include "daemon/error.hpp"
#include "daemon/fd.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> absolute_from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || value[0] != '/') return std::nullopt;
  return fs::path(value);
}

fs::path home() {
  if (auto path = absolute_from_environment("HOME")) return *path;
  const passwd* user = ::getpwuid(::getuid());
  if (user == nullptr || user->pw_dir == nullptr) throw Error("no home directory: set HOME");
  return user->pw_dir;
}

fs::path runtime_directory() {
  std::error_code ignored;
  auto path = absolute_from_environment("XDG_RUNTIME_DIR");
  if (path && fs::is_directory(*path, ignored)) return *path / "hearth";
  return fs::path("/tmp") / ("hearth-" + std::to_string(::getuid()));
}

}  // namespace

Paths find_paths() {
  Paths paths;
  paths.runtime = runtime_directory();
  const auto state = absolute_from_environment("XDG_STATE_HOME");
  paths.state = (state ? *state : home() / ".local/state") / "hearth";
  const auto config = absolute_from_environment("XDG_CONFIG_HOME");
  paths.config = (config ? *config : home() / ".config") / "hearth/config.toml";
  return paths;
}

void make_private_directory(const fs::path& directory) {
  std::error_code failed;
  if (directory.has_parent_path()) fs::create_directories(directory.parent_path(), failed);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot make the directory " + directory.string(), errno);
  }
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && (errno == ELOOP || errno == ENOTDIR)) {
    throw Error(directory.string() + " is a link or no directory: remove it");
  }
  if (!fd) throw system_error("cannot open the directory " + directory.string(), errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw system_error(directory.string(), errno);
  if (info.st_uid != ::getuid()) {
    throw Error(directory.string() + " belongs to user " + std::to_string(info.st_uid) +
                ": hearth uses only a directory of its own user");
  }
  if ((info.st_mode & 0077) != 0 && ::fchmod(fd.get(), 0700) != 0) {
    throw system_error("cannot make " + directory.string() + " private", errno);
  }
}

}  // namespace hearth::daemon
