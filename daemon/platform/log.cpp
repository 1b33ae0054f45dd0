// spdlog behind Log: 3 files of 5 MB.
#include "daemon/platform/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "daemon/platform/files.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/log_file.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t file_bytes = 5 * 1024 * 1024;
constexpr std::size_t old_files = 2;
constexpr std::size_t longest_message = 4 * 1024;

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

// Why that file cannot be written; empty where it can, or is not there yet. spdlog would wait for a
// pipe's reader.
std::string objection(const std::filesystem::path& file) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  return file.string() + " is " + kind_of_file(info.st_mode) + ", not a regular file: remove it";
}

}  // namespace

struct Log::Impl {
  spdlog::logger logger{"hearth"};
  std::string refused;
};

Log::Log(const std::filesystem::path& file, lsp::LogLevel level, bool to_stderr)
    : impl_(std::make_unique<Impl>()) {
  auto& logger = impl_->logger;
  if (to_stderr) logger.sinks().push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // Installed first: from here on a failing sink (a full disk) loses its line and nothing else.
  logger.set_error_handler([](const std::string&) {});
  logger.set_level(to_spdlog(level));
  logger.flush_on(spdlog::level::info);
  std::string& refused = impl_->refused;
  if (!file.empty()) refused = objection(file);
  if (!file.empty() && refused.empty()) {
    try {
      logger.sinks().push_back(std::make_shared<LogFile>(
          PrivateDirectory(file.parent_path()), file.filename().string(), file_bytes, old_files));
    } catch (const std::exception& failed) {
      refused = failed.what();
    }
  }
  logger.set_pattern("%Y-%m-%d %H:%M:%S.%e %-5l %v");
  if (!refused.empty()) warn("no log file: " + refused);
}

Log::~Log() = default;

void Log::set_level(lsp::LogLevel level) {
  impl_->logger.set_level(to_spdlog(level));
}

const std::string& Log::refused() const {
  return impl_->refused;
}

void Log::write(lsp::LogLevel level, std::string_view message) noexcept {
  if (!impl_->logger.should_log(to_spdlog(level))) return;
  try {
    impl_->logger.log(to_spdlog(level), on_one_line(message.substr(0, longest_message)));
  } catch (...) {
    // Nobody is left to be told.
  }
}

}  // namespace hearth::daemon
