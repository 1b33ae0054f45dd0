// spdlog behind Log: 3 files of 5 MB.
#include "daemon/log.hpp"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace hearth::daemon {
namespace {

constexpr std::size_t file_bytes = 5 * 1024 * 1024;
constexpr std::size_t old_files = 2;

spdlog::level::level_enum to_spdlog(lsp::LogLevel level) {
  switch (level) {
    case lsp::LogLevel::trace:
      return spdlog::level::trace;
    case lsp::LogLevel::debug:
      return spdlog::level::debug;
    case lsp::LogLevel::info:
      return spdlog::level::info;
    case lsp::LogLevel::warn:
      return spdlog::level::warn;
    case lsp::LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

struct Log::Impl {
  spdlog::logger logger{"hearth"};
};

Log::Log(const std::filesystem::path& file, const std::string& level, bool to_stderr)
    : impl_(std::make_unique<Impl>()) {
  auto& logger = impl_->logger;
  if (to_stderr) logger.sinks().push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // Installed first: from here on a failing sink (a full disk) loses its line and nothing else.
  logger.set_error_handler([](const std::string&) {});
  logger.set_level(spdlog::level::from_str(level));
  logger.flush_on(spdlog::level::info);
  std::string refused;
  if (!file.empty()) {
    try {
      logger.sinks().push_back(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
          file.string(), file_bytes, old_files));
    } catch (const spdlog::spdlog_ex& failed) {
      refused = failed.what();
    }
  }
  logger.set_pattern("%Y-%m-%d %H:%M:%S.%e %-5l %v");
  if (!refused.empty()) warn("no log file: " + refused);
}

Log::~Log() = default;

void Log::write(lsp::LogLevel level, std::string_view message) {
  impl_->logger.log(to_spdlog(level), message);
}

}  // namespace hearth::daemon
