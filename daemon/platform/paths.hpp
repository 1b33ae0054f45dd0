// Where the process keeps what is its user's: XDG directories, and the care that nobody else can
// get in. Knows names and modes, not contents.
#pragma once

#include <filesystem>

namespace hearth::daemon {

struct Paths {
  std::filesystem::path runtime;  // $XDG_RUNTIME_DIR/hearth, else /tmp/hearth-<uid>
  std::filesystem::path state;    // $XDG_STATE_HOME/hearth, else ~/.local/state/hearth
  std::filesystem::path config;  // the file $XDG_CONFIG_HOME/hearth/config.toml, else ~/.config/…

  // Names carry neither build nor model: there is one daemon for a user.
  std::filesystem::path socket() const { return runtime / "socket"; }
  std::filesystem::path lock() const { return runtime / "lock"; }
  std::filesystem::path log() const { return state / "hearth.log"; }
  std::filesystem::path answers() const { return state / "answers"; }
  std::filesystem::path engine() const { return state / "engine"; }  // what a restart finds again
};

// From the environment; creates nothing. Relative XDG paths are ignored, as their standard asks.
Paths find_paths();

// Makes the directory (0700) where it is missing, and takes other people's rights from it where it
// is ours. Throws Error when it is a link, no directory, or someone else's.
void make_private_directory(const std::filesystem::path& directory);

}  // namespace hearth::daemon
