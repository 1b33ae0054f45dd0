// Looks in the two places that installation.hpp names.
#include "daemon/platform/installation.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "daemon/platform/error.hpp"
#include "daemon/platform/version.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

constexpr const char* ember = "hearth/ember";
constexpr const char* plugin = "nvim/site/pack/hearth/start/hearth";

std::array<fs::path, 2> places(const std::string& name) {
  const fs::path folder = executable().parent_path();
  return {(folder / "../share" / name).lexically_normal(), folder / "share" / name};
}

// The folders of a list such as PATH.
std::vector<fs::path> folders_of(const std::string& list) {
  std::vector<fs::path> folders;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ':');) {
    if (!part.empty()) folders.emplace_back(part);
  }
  return folders;
}

std::string environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

}  // namespace

std::optional<fs::path> find_shared(const std::string& name) {
  std::error_code failed;
  for (const fs::path& place : places(name)) {
    if (fs::exists(place, failed)) return place;
  }
  return std::nullopt;
}

fs::path embedded_model() {
  if (const auto found = find_shared(ember)) return fs::canonical(*found);
  const auto looked = places(ember);
  throw Error("the embedded checkpoint is neither at " + looked[0].string() + " nor at " +
              looked[1].string() + ": install hearth again, or name a checkpoint with --model DIR");
}

std::optional<fs::path> neovim_plugin() {
  return find_shared(plugin);
}

bool neovim_finds(const fs::path& folder) {
  const std::string home = environment("HOME", "");
  const std::string looked = environment("XDG_DATA_HOME", home + "/.local/share") + ":" +
                             environment("XDG_DATA_DIRS", "/usr/local/share:/usr/share");
  std::error_code failed;
  for (const fs::path& place : folders_of(looked)) {
    if (fs::equivalent(place / plugin, folder, failed) && !failed) return true;
  }
  return false;
}

bool on_path(const std::string& program) {
  const auto is_there = [&](const fs::path& folder) {
    return ::access((folder / program).c_str(), X_OK) == 0;
  };
  return std::ranges::any_of(folders_of(environment("PATH", "")), is_there);
}

std::string command_name() {
  std::error_code failed;
  for (const fs::path& folder : folders_of(environment("PATH", ""))) {
    if (!fs::exists(folder / "hearth", failed)) continue;
    if (fs::equivalent(folder / "hearth", executable(), failed) && !failed) return "hearth";
    break;  // another one
  }
  return executable().string();
}

}  // namespace hearth::daemon
