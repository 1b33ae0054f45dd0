// Ctrl-C, a closed terminal and `kill` as a flag, for commands that stop tidily.
#pragma once

#include <array>
#include <atomic>
#include <csignal>

namespace hearth::daemon {

// While it lives, these signals only set the flag. At most one at a time.
class InterruptFlag {
 public:
  InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;
  ~InterruptFlag();

  const std::atomic<bool>& flag() const;

 private:
  static constexpr std::array<int, 3> signals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, signals.size()> before_{};
};

}  // namespace hearth::daemon
