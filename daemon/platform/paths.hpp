// Where the process keeps what is its user's: the names, from the XDG variables.
#pragma once

#include <filesystem>
#include <string>

namespace hearth::daemon {

struct Paths {
  std::filesystem::path runtime;  // $XDG_RUNTIME_DIR/hearth, else /tmp/hearth-<uid>
  // $XDG_STATE_HOME/hearth, else ~/.local/state/hearth; empty where none may be used, and so is
  // what is below it.
  std::filesystem::path state;
  std::filesystem::path config;  // the file $XDG_CONFIG_HOME/hearth/config.toml, else ~/.config/…
  // Models that have a name: $XDG_DATA_HOME/hearth/models, else ~/.local/share/hearth/models.
  std::filesystem::path models;

  std::filesystem::path prompts() const { return config.parent_path() / "prompts"; }
  // Names carry neither build nor model: there is one daemon for a user.
  std::filesystem::path socket() const { return runtime / "socket"; }
  std::filesystem::path lock() const { return runtime / "lock"; }
  std::filesystem::path parsing() const { return runtime / "parsing"; }  // marks of documents
  std::filesystem::path log() const { return below_state("hearth.log"); }
  std::filesystem::path answers() const { return below_state("answers"); }
  std::filesystem::path chat_history() const { return below_state("chat_history"); }
  std::filesystem::path trusted_prompts() const { return below_state("trusted_prompts.json"); }
  std::filesystem::path jobs() const { return below_state("jobs.sqlite"); }
  // Where the last job's number was before that.
  std::filesystem::path last_job() const { return below_state("last_job"); }
  // What a restart of the engine finds again.
  std::filesystem::path engine() const { return below_state("engine"); }
  // Of these, the states of prompts.
  std::filesystem::path prefixes() const {
    return state.empty() ? std::filesystem::path() : engine() / "prefixes";
  }

  std::filesystem::path below_state(const char* name) const {
    return state.empty() ? std::filesystem::path() : state / name;
  }
};

// From the environment; creates nothing. Relative XDG paths are ignored, as their standard asks.
Paths find_paths();

// With the user's home for a leading "~/", as no shell does it in a configuration.
std::filesystem::path at_home(const std::string& path);

// As PrivateDirectory does, for those that only need to know that it is there and private.
void make_private_directory(const std::filesystem::path& directory);

}  // namespace hearth::daemon
