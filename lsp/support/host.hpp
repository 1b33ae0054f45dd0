// What the language server needs from the process around it: a thread, a clock, a place for
// answers that a client cannot show otherwise, a log. Tests supply one with a virtual clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::lsp {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;  // else a regular file
};

class Host {
 public:
  using TimerId = std::uint64_t;

  virtual ~Host() = default;
  // Runs `task` later on the one thread that runs all server code. Callable from any thread.
  virtual void post(std::function<void()> task) = 0;
  // Runs `work` on another thread (parsing, context), then `then` as by post. Callable from any
  // thread.
  virtual void background(std::function<void()> work, std::function<void()> then) = 0;
  // As background(), for what nobody waits for: one after the other, on a thread that only gets
  // what others leave of the processor and the disk. It may stand still in the middle of its work
  // for seconds: what it locks, it locks for moments.
  virtual void when_idle(std::function<void()> work, std::function<void()> then) {
    background(std::move(work), std::move(then));
  }
  virtual TimerId after(std::chrono::milliseconds delay, std::function<void()> task) = 0;
  virtual void cancel_timer(TimerId id) = 0;  // unknown or fired ids are ignored
  virtual std::chrono::steady_clock::time_point now() const = 0;
  // What is written down, for people and for later processes.
  virtual std::chrono::system_clock::time_point time() const = 0;

  // Writes a private file (0600) in the state directory, whole or not at all, and returns its
  // file:// URI, whose name may be a longer one. Throws std::runtime_error with the reason (a full
  // disk) and leaves the old one.
  virtual std::string write_answer(std::string_view name, std::string_view text) = 0;
  // The day on which a file written now is removed, "2026-12-06"; empty: never.
  virtual std::string answers_kept_until() const = 0;

  // Files of the workspaces, for work in the background: they block, and may be called from any
  // thread. A host that shows no files answers as these do.
  //
  // The folders and regular files in the folder `path`, by name; nothing of one that cannot be
  // read.
  virtual std::vector<DirectoryEntry> list_directory(const std::string& /*path*/) const {
    return {};
  }
  // Nothing where it is no regular file, cannot be read, or has more than `max_bytes`.
  virtual std::optional<std::string> read_file(const std::string& /*path*/,
                                               std::size_t /*max_bytes*/) const {
    return std::nullopt;
  }
  // Without links; nothing where nothing is there.
  virtual std::optional<std::string> real_path(const std::string& /*path*/) const {
    return std::nullopt;
  }
  // Whether there is anything of that name, a link that leads nowhere too.
  virtual bool is_there(const std::string& /*path*/) const { return false; }

  // What a client's message holds, document text above all, only ever at LogLevel::trace.
  virtual void log(LogLevel level, std::string_view message) = 0;
};

}  // namespace hearth::lsp
