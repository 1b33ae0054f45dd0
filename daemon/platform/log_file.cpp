// LogFile: one write() for each line.
#include "daemon/platform/log_file.hpp"

#include <fcntl.h>
#include <spdlog/common.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace hearth::daemon {

LogFile::LogFile(PrivateDirectory directory, std::string name, std::size_t max_bytes,
                 std::size_t old_files)
    : directory_(std::move(directory)),
      name_(std::move(name)),
      max_bytes_(max_bytes),
      old_files_(old_files) {
  begin();
}

void LogFile::begin() {
  file_ = directory_.open(name_, O_WRONLY | O_APPEND | O_CREAT);
  struct stat info {};
  size_ = ::fstat(file_.get(), &info) == 0 ? static_cast<std::size_t>(info.st_size) : 0;
}

void LogFile::rotate() {
  const std::filesystem::path name = name_;
  const auto old = [&](std::size_t age) {
    return age == 0 ? name_
                    : name.stem().string() + "." + std::to_string(age) + name.extension().string();
  };
  for (std::size_t age = old_files_; age > 0; --age) directory_.rename(old(age - 1), old(age));
  file_.reset();
  begin();
}

void LogFile::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  if (!file_) begin();  // it could not be had when it was to be begun anew
  if (size_ > 0 && size_ + line.size() > max_bytes_) rotate();
  const ssize_t written = ::write(file_.get(), line.data(), line.size());
  if (written < 0) throw spdlog::spdlog_ex("cannot write the log", errno);
  size_ += static_cast<std::size_t>(written);
}

}  // namespace hearth::daemon
