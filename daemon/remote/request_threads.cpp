// A queue and its workers. Which task a stop is meant for is decided under the mutex.
#include "daemon/remote/request_threads.hpp"

#include <algorithm>
#include <utility>

namespace hearth::daemon {

RequestThreads::~RequestThreads() {
  stop_all();
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  for (Worker& worker : workers_) worker.thread.join();
}

RequestThreads::TaskId RequestThreads::run(Task task) {
  const std::lock_guard lock(mutex_);
  waiting_.emplace_back(++last_, std::move(task));
  if (idle_ < waiting_.size() && workers_.size() < most_) {
    Worker& worker = workers_.emplace_back();
    worker.thread = std::thread([this, &worker] { work(worker); });
  }
  changed_.notify_one();
  return last_;
}

void RequestThreads::stop(TaskId id) {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [id](const auto& task) { return task.first == id; });
  for (Worker& worker : workers_) {
    if (worker.running == id) worker.stop = true;
  }
}

void RequestThreads::stop_all() {
  const std::lock_guard lock(mutex_);
  waiting_.clear();
  for (Worker& worker : workers_) {
    if (worker.running != 0) worker.stop = true;
  }
}

void RequestThreads::work(Worker& worker) {
  http::Client client(limits_, &worker.stop);
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
    --idle_;
    if (ends_) return;
    auto [id, task] = std::move(waiting_.front());
    waiting_.pop_front();
    worker.running = id;
    worker.stop = false;
    lock.unlock();
    task(client);
    task = nullptr;  // what it holds may end here, and not under the mutex
    lock.lock();
    worker.running = 0;
  }
}

}  // namespace hearth::daemon
