// Finds the XDG directories.
#include "daemon/platform/paths.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "daemon/platform/error.hpp"
#include "daemon/platform/private_directory.hpp"

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
  const auto data = absolute_from_environment("XDG_DATA_HOME");
  paths.models = (data ? *data : home() / ".local/share") / "hearth/models";
  return paths;
}

void make_private_directory(const fs::path& directory) {
  const PrivateDirectory made(directory);
}

fs::path at_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? home + path.substr(1) : path;
}

}  // namespace hearth::daemon
