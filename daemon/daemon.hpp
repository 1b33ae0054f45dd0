// The daemon's life: takes the lock, opens the socket, puts host, model, jobs and sessions
// together, and takes them apart again.
#pragma once

#include <filesystem>
#include <functional>

#include "daemon/config.hpp"
#include "daemon/paths.hpp"

namespace hearth::daemon {

struct DaemonOptions {
  Config config;
  std::filesystem::path model;  // the checkpoint's directory
  Paths paths;
  bool foreground = false;  // log to stderr too
  // Called once the socket listens, or when another daemon is there and this one ends at once.
  std::function<void()> ready;
};

// Runs until it is stopped. Returns false when another daemon is there. Throws Error when it
// cannot begin.
bool run_daemon(const DaemonOptions& options);

}  // namespace hearth::daemon
