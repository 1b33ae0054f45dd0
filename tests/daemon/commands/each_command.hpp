// Walks the tree of commands, for tests that hold for all of them.
#pragma once

#include <CLI/App.hpp>
#include <functional>

#include "daemon/commands/command_line.hpp"

namespace hearth::tests {

// Calls `visit` with the program and every command of it.
inline void each_command(const CLI::App& command,
                         const std::function<void(const CLI::App&)>& visit) {
  visit(command);
  for (const CLI::App* part : daemon::commands_of(command)) each_command(*part, visit);
}

}  // namespace hearth::tests
