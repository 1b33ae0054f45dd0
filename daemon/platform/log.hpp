// The process's log: a rotated file in the state directory, or stderr. A log that cannot be
// written never stops anything.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "lsp/host.hpp"

namespace hearth::daemon {

// Thread-safe.
class Log {
 public:
  // `file` empty: no file. `level`: the configuration's word for it.
  Log(const std::filesystem::path& file, const std::string& level, bool to_stderr);
  ~Log();

  void write(lsp::LogLevel level, std::string_view message);
  void info(std::string_view message) { write(lsp::LogLevel::info, message); }
  void warn(std::string_view message) { write(lsp::LogLevel::warn, message); }
  void error(std::string_view message) { write(lsp::LogLevel::error, message); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
