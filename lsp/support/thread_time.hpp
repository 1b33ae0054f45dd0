// What the calling thread has computed so far: for limits on work, which others' load must not
// shorten.
#pragma once

#include <chrono>
#include <ctime>

namespace hearth::lsp {

inline std::chrono::nanoseconds thread_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace hearth::lsp
