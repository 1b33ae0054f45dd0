// lsp::Host on Asio: one thread that runs all wire and session code, a small pool for syntax,
// timers, signals. Asio itself stays behind this and server.cpp.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "daemon/log.hpp"
#include "lsp/host.hpp"

namespace boost::asio {
class io_context;
}

namespace hearth::daemon {

class AsioHost : public lsp::Host {
 public:
  // The log outlives it. `answers`: the directory of write_answer.
  AsioHost(Log& log, std::filesystem::path answers);
  ~AsioHost() override;  // waits for background work that has begun; drops what is queued

  void post(std::function<void()> task) override;
  void background(std::function<void()> work, std::function<void()> then) override;
  TimerId after(std::chrono::milliseconds delay, std::function<void()> task) override;
  void cancel_timer(TimerId id) override;
  std::chrono::steady_clock::time_point now() const override;
  std::string write_answer(std::string_view name, std::string_view text) override;
  void log(lsp::LogLevel level, std::string_view message) override;

  void run();   // in the calling thread, until stop()
  void stop();  // from any thread
  // SIGINT and SIGTERM from now on.
  void on_signal(std::function<void()> task);
  boost::asio::io_context& io();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
