// Where the files that come with the program are. They are found from the program itself, so that
// an installation may be moved, and a build folder is like one.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace hearth::daemon {

// A file or folder below share/: `../share/NAME` of an installed program's folder (PREFIX/bin), or
// `share/NAME` beside a program in its build folder. Empty where it is at neither.
std::optional<std::filesystem::path> find_shared(const std::string& name);

// The embedded checkpoint's folder. Throws Error that says where it was looked for.
std::filesystem::path embedded_model();

// The Neovim plugin's folder; empty where it was not installed.
std::optional<std::filesystem::path> neovim_plugin();

// Whether Neovim looks there by itself, going by this process's environment.
bool neovim_finds(const std::filesystem::path& plugin);

// Whether the PATH leads to a program of that name.
bool on_path(const std::string& program);

// What a person types to start this program: "hearth" where that is what the PATH leads to, else
// its path.
std::string command_name();

}  // namespace hearth::daemon
