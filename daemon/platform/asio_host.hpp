// lsp::Host on Asio: one thread that runs all wire and session code, a small pool for syntax, one
// thread at idle priority, timers, signals. Asio itself stays behind this and listener.cpp.
#pragma once

#include <functional>
#include <memory>

#include "daemon/platform/answer_files.hpp"
#include "daemon/platform/log.hpp"
#include "lsp/support/host.hpp"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace hearth::daemon {

class AsioHost : public lsp::Host {
 public:
  // Both outlive it.
  AsioHost(Log& log, AnswerFiles& answers);
  ~AsioHost() override;  // waits for background work that has begun; drops what is queued

  void post(std::function<void()> task) override;
  void background(std::function<void()> work, std::function<void()> then) override;
  void when_idle(std::function<void()> work, std::function<void()> then) override;
  TimerId after(std::chrono::milliseconds delay, std::function<void()> task) override;
  void cancel_timer(TimerId id) override;
  std::chrono::steady_clock::time_point now() const override;
  std::chrono::system_clock::time_point time() const override;
  std::string write_answer(std::string_view name, std::string_view text) override;
  std::string answers_kept_until() const override;
  std::vector<lsp::DirectoryEntry> list_directory(const std::string& path) const override;
  std::optional<std::string> read_file(const std::string& path,
                                       std::size_t max_bytes) const override;
  std::optional<std::string> real_path(const std::string& path) const override;
  bool is_there(const std::string& path) const override;
  void log(lsp::LogLevel level, std::string_view message) override;

  // In the calling thread, until stop(). A task that throws is logged; one that finds no memory
  // stops it.
  void run();
  void stop();  // from any thread
  // SIGINT and SIGTERM from now on.
  void on_signal(std::function<void()> task);
  boost::asio::io_context& io();

 private:
  struct Impl;

  void run_in(boost::asio::thread_pool& pool, std::function<void()> work,
              std::function<void()> then);

  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
