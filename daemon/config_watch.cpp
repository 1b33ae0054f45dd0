// ConfigWatch: the directory's watch, a pause until the writer is done, the comparison.
#include "daemon/config_watch.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <chrono>
#include <vector>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

// An editor that saves a file makes, writes and renames some.
constexpr std::chrono::milliseconds settle_time{200};

}  // namespace

ConfigWatch::ConfigWatch(AsioHost& host, fs::path file, Config running, Heard heard)
    : host_(host), file_(std::move(file)), running_(std::move(running)), heard_(std::move(heard)) {
  watch();
  look_soon();  // it may have changed since it was read
}

ConfigWatch::~ConfigWatch() {
  host_.cancel_timer(timer_);
}

void ConfigWatch::look_soon() {
  host_.cancel_timer(timer_);
  timer_ = host_.after(settle_time, [this] { look(); });
}

void ConfigWatch::look() {
  watch();
  read();
}

void ConfigWatch::watch() {
  watch(named_, file_);
  const fs::path target = link_target(file_);
  if (target == file_) {
    target_ = {};
  } else {
    watch(target_, target);
  }
}

// The nearest directory that is there, which may be another one than before.
void ConfigWatch::watch(Watched& watched, const fs::path& file) {
  fs::path directory = file.parent_path();
  struct stat info {};
  while (::stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    if (!directory.has_relative_path()) return;
    directory = directory.parent_path();
  }
  const std::pair<dev_t, ino_t> found(info.st_dev, info.st_ino);
  if (watched.watch && found == watched.directory) return;
  const bool contents = directory == file.parent_path();
  watched.watch = std::make_unique<DirectoryWatch>(
      host_, directory, [this] { look_soon(); }, contents);
  watched.directory = found;
}

void ConfigWatch::read() {
  std::string notice;
  try {
    const Config read = read_config(file_);
    std::vector<std::string> at_once;
    std::vector<std::string> later;
    for (std::string& key : changed_keys(running_, read)) {
      (applies_at_once(key) ? at_once : later).push_back(std::move(key));
    }
    if (!later.empty()) {
      notice = fmt::format("{} changed: {} need{} `hearth restart`", file_.filename().string(),
                           fmt::join(later, ", "), later.size() == 1 ? "s" : "");
    }
    if (!at_once.empty()) {
      running_ = applied(running_, read);
      host_.log(lsp::LogLevel::info,
                fmt::format("{} changed: {} applied", file_.string(), fmt::join(at_once, ", ")));
      heard_.applied();
    }
  } catch (const Error& error) {
    notice = std::string(error.what()) + "; until it is mended, the settings stay as they were";
  }
  if (notice == notice_) return;
  notice_ = notice;
  if (!notice.empty()) host_.log(lsp::LogLevel::warn, notice);
  heard_.noticed(notice);
}

}  // namespace hearth::daemon
