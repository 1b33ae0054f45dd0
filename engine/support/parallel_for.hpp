// A few threads for work that waits on memory or a disk. Not for arithmetic: that is the Backend's.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "engine/support/mutex.hpp"

namespace hearth::engine {

// Calls task(0) … task(count-1), each once, on at most so many threads, this one included, and
// returns when all are done. Where one throws, no further one is begun, and the first exception
// comes out of here.
template <typename Task>
void parallel_for(std::size_t count, std::size_t threads, const Task& task) {
  std::atomic<std::size_t> next = 0;
  Mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) task(i);
    } catch (...) {
      const Lock lock(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> helpers;
  try {
    while (helpers.size() + 1 < std::min(count, threads)) helpers.emplace_back(work);
  } catch (const std::exception&) {  // no thread to be had: with fewer, then
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
}

}  // namespace hearth::engine
