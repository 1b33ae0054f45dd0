// For the few things that must happen also when there is no memory for the moment.
#pragma once

#include <chrono>
#include <new>
#include <thread>

namespace hearth::daemon {

// Calls `task` again when it found no memory, for about a second, so that others may give some
// back. False: there was none. Other exceptions pass.
template <typename Task>
bool insist(const Task& task) {
  constexpr int tries = 50;
  constexpr std::chrono::milliseconds between{20};
  for (int i = 0; i < tries; ++i) {
    if (i > 0) std::this_thread::sleep_for(between);
    try {
      task();
      return true;
    } catch (const std::bad_alloc&) {
      // Again.
    }
  }
  return false;
}

}  // namespace hearth::daemon
