// A Host for tests: one thread, a clock that moves when it is told to, answers kept in memory.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lsp/support/host.hpp"

namespace hearth::lsp::test {

class VirtualHost : public Host {
 public:
  void post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  // The work runs when its turn comes in run(), so that nothing happens inside of the call.
  void background(std::function<void()> work, std::function<void()> then) override;
  // As background(), and counted.
  void when_idle(std::function<void()> work, std::function<void()> then) override;
  TimerId after(std::chrono::milliseconds delay, std::function<void()> task) override;
  void cancel_timer(TimerId id) override;
  std::chrono::steady_clock::time_point now() const override { return now_; }
  std::chrono::system_clock::time_point time() const override {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(now_.time_since_epoch()));
  }
  std::string write_answer(std::string_view name, std::string_view text) override;
  std::string answers_kept_until() const override { return "2026-12-06"; }
  std::vector<DirectoryEntry> list_directory(const std::string& path) const override;
  std::optional<std::string> read_file(const std::string& path,
                                       std::size_t max_bytes) const override;
  std::optional<std::string> real_path(const std::string& path) const override;
  bool is_there(const std::string& path) const override;
  void log(LogLevel level, std::string_view message) override;

  // Runs what is posted, until nothing is.
  void run();
  // Moves the clock from timer to timer; run() after each.
  void advance(std::chrono::milliseconds time);

  std::size_t timers() const { return timers_.size(); }

  bool disk_full = false;
  std::string files;  // a folder of the disk; what is not below it is not there. Empty: no files
  std::map<std::string, std::string> answers;  // by name
  int answers_written = 0;
  int idle_work = 0;
  std::vector<std::string> logged;
  mutable std::vector<std::string> files_read;  // their paths, in order

 private:
  bool is_file(const std::string& path) const;

  using Due = std::pair<std::chrono::steady_clock::time_point, TimerId>;
  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
  std::deque<std::function<void()>> tasks_;
  std::map<Due, std::function<void()>> timers_;
  TimerId last_timer_ = 0;
};

}  // namespace hearth::lsp::test
