// `hearth lsp`: an editor's stdio on one side, the daemon's socket on the other, and another daemon
// when the first one goes.
#pragma once

#include <string>
#include <vector>

#include "daemon/platform/paths.hpp"

namespace hearth::daemon {

// Forwards between the descriptors and the daemon until the editor ends it; returns the exit code.
// `arguments`: of a daemon that it starts. Throws lsp::WireError when what the editor writes is no
// stream of messages.
int run_stdio_proxy(const Paths& paths, const std::vector<std::string>& arguments, int in, int out);

}  // namespace hearth::daemon
