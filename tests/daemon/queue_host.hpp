// A Host whose thread is the test's: posted tasks run in run_until().
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "lsp/support/host.hpp"

namespace hearth::tests {

class QueueHost : public lsp::Host {
 public:
  void post(std::function<void()> task) override {
    if (on_post) on_post();
    std::unique_lock lock(mutex_);
    tasks_.push_back(std::move(task));
    const std::size_t number = ++posted_;
    changed_.notify_all();
    if (std::this_thread::get_id() == owner_) return;
    changed_.wait(lock, [&] { return !in_step_ || run_ >= number; });
  }
  void background(std::function<void()> work, std::function<void()> then) override {
    work();
    post(std::move(then));
  }
  TimerId after(std::chrono::milliseconds, std::function<void()>) override { return 0; }
  void cancel_timer(TimerId) override {}
  std::chrono::steady_clock::time_point now() const override {
    return std::chrono::steady_clock::now();
  }
  std::chrono::system_clock::time_point time() const override {
    return std::chrono::system_clock::now();
  }
  std::string write_answer(std::string_view, std::string_view) override {
    throw std::runtime_error("no answers here");
  }
  std::string answers_kept_until() const override { return {}; }
  void log(lsp::LogLevel, std::string_view line) override {
    const std::scoped_lock lock(mutex_);
    log_ += std::string(line) + "\n";
  }
  // Of all threads, so far.
  std::string logged() {
    const std::scoped_lock lock(mutex_);
    return log_;
  }

  void run_until(const std::function<bool()>& met) {
    while (!met()) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !tasks_.empty(); });
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
      ++run_;
      changed_.notify_all();
    }
  }

  // In step, another thread that posts waits until its task has been run: it cannot get ahead of
  // what the test does in between, however slow this thread is.
  void keep_in_step(bool wanted) {
    const std::scoped_lock lock(mutex_);
    in_step_ = wanted;
    changed_.notify_all();
  }

  // Called in the posting thread, before the task is queued.
  std::function<void()> on_post;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::string log_;
  const std::thread::id owner_ = std::this_thread::get_id();
  std::size_t posted_ = 0;
  std::size_t run_ = 0;
  bool in_step_ = false;
};

}  // namespace hearth::tests
