// The handler of SIGINT, and the one flag it sets.
#include "daemon/interrupt_flag.hpp"

namespace hearth::daemon {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

}  // namespace

InterruptFlag::InterruptFlag() {
  interrupted = false;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  ::sigaction(SIGINT, &action, &before_);
}

InterruptFlag::~InterruptFlag() {
  ::sigaction(SIGINT, &before_, nullptr);
}

const std::atomic<bool>& InterruptFlag::flag() const {
  return interrupted;
}

}  // namespace hearth::daemon
