// The log's file: appended to, renamed and begun anew when it is large. Opened in its directory
// without following links.
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <cstddef>
#include <mutex>
#include <string>

#include "daemon/platform/private_directory.hpp"

namespace hearth::daemon {

// Failing to write loses the line; spdlog's error handler is told.
class LogFile : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Throws Error when the file cannot be had. The old ones of hearth.log are hearth.1.log
  // and so on, up to `old_files`.
  LogFile(PrivateDirectory directory, std::string name, std::size_t max_bytes,
          std::size_t old_files);

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}  // each line is written at once
  void begin();
  void rotate();

  const PrivateDirectory directory_;
  const std::string name_;
  const std::size_t max_bytes_;
  const std::size_t old_files_;
  Fd file_;
  std::size_t size_ = 0;
};

}  // namespace hearth::daemon
