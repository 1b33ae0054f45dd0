// Ctrl-C as a flag, for commands that stop tidily.
#pragma once

#include <atomic>
#include <csignal>

namespace hearth::daemon {

// While it lives, Ctrl-C only sets the flag. At most one at a time.
class InterruptFlag {
 public:
  InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;
  ~InterruptFlag();

  const std::atomic<bool>& flag() const;

 private:
  struct sigaction before_ {};
};

}  // namespace hearth::daemon
