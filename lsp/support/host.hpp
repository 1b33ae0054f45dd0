// What the language server needs from the process around it: a thread, a clock, a place for
// answers that a client cannot show otherwise, a log. Tests supply one with a virtual clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace hearth::lsp {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };

class Host {
 public:
  using TimerId = std::uint64_t;

  virtual ~Host() = default;
  // Runs `task` later on the one thread that runs all server code. Callable from any thread.
  virtual void post(std::function<void()> task) = 0;
  // Runs `work` on another thread (parsing, context), then `then` as by post.
  virtual void background(std::function<void()> work, std::function<void()> then) = 0;
  virtual TimerId after(std::chrono::milliseconds delay, std::function<void()> task) = 0;
  virtual void cancel_timer(TimerId id) = 0;  // unknown or fired ids are ignored
  virtual std::chrono::steady_clock::time_point now() const = 0;

  // Writes a private file (0600) in the state directory, whole or not at all, and returns its
  // file:// URI, whose name may be a longer one. Throws std::runtime_error with the reason (a full
  // disk) and leaves the old one.
  virtual std::string write_answer(std::string_view name, std::string_view text) = 0;
  // The day on which a file written now is removed, "2026-12-06"; empty: never.
  virtual std::string answers_kept_until() const = 0;
  // What a client's message holds, document text above all, only ever at LogLevel::trace.
  virtual void log(LogLevel level, std::string_view message) = 0;
};

}  // namespace hearth::lsp
