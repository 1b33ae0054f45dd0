// The process's log: a rotated file in the state directory, or stderr. A log that cannot be
// written never stops anything, and whatever a message quotes, it is one line.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "lsp/support/host.hpp"

namespace hearth::daemon {

// Thread-safe.
class Log {
 public:
  // `file` empty: no file, else one in a private directory. What is below `level` is not logged.
  Log(const std::filesystem::path& file, lsp::LogLevel level, bool to_stderr);
  ~Log();

  // Why there is no file although one was asked for; empty where there is one.
  const std::string& refused() const;

  void set_level(lsp::LogLevel level);

  // Lost where there is no memory or room for it.
  void write(lsp::LogLevel level, std::string_view message) noexcept;
  void info(std::string_view message) noexcept { write(lsp::LogLevel::info, message); }
  void warn(std::string_view message) noexcept { write(lsp::LogLevel::warn, message); }
  void error(std::string_view message) noexcept { write(lsp::LogLevel::error, message); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
