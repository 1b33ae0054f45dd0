// Threads for requests that wait for a server, each with a client of its own. As many as are
// needed at once, up to a bound; what is more waits in order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "daemon/http/client.hpp"

namespace hearth::daemon {

// Thread-safe.
class RequestThreads {
 public:
  using TaskId = std::uint64_t;  // from 1
  // Runs on one of the threads; throws nothing.
  using Task = std::function<void(http::Client&)>;

  RequestThreads(std::size_t most, const http::Limits& limits) : most_(most), limits_(limits) {}
  RequestThreads(const RequestThreads&) = delete;
  RequestThreads& operator=(const RequestThreads&) = delete;
  ~RequestThreads();  // stops what runs, drops what waits

  TaskId run(Task task);
  // What the task's client does ends within 20 ms, by closing its connection; one that waits is
  // dropped.
  void stop(TaskId id);
  void stop_all();

 private:
  struct Worker {
    std::atomic<bool> stop{false};  // set with the mutex held
    TaskId running = 0;             // guarded by mutex_
    std::thread thread;
  };
  void work(Worker& worker);

  const std::size_t most_;
  const http::Limits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ends_ = false;
  TaskId last_ = 0;
  std::size_t idle_ = 0;
  std::deque<std::pair<TaskId, Task>> waiting_;
  std::list<Worker> workers_;
};

}  // namespace hearth::daemon
