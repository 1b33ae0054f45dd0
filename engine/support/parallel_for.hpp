// A few threads for work that waits on memory or a disk. Not for arithmetic: that is the Backend's.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace hearth::engine {

// Calls task(0) … task(count-1), each once, on at most so many threads, this one included, and
// returns when all are done. The tasks throw nothing.
template <typename Task>
void spread(std::size_t count, std::size_t threads, const Task& task) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) task(i);
  };
  std::vector<std::thread> helpers;
  try {
    while (helpers.size() + 1 < std::min(count, threads)) helpers.emplace_back(work);
  } catch (const std::system_error&) {  // no thread to be had: with fewer, then
  }
  work();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace hearth::engine
