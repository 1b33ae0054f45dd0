// Completions for shells, made of the list of commands: the text of the file that each of them
// reads.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace hearth::daemon {

std::string bash_completions(const CLI::App& app);
std::string zsh_completions(const CLI::App& app);
std::string fish_completions(const CLI::App& app);

}  // namespace hearth::daemon
