// Names of answers' files, and their end.
#include "daemon/platform/answer_files.hpp"

#include <fcntl.h>

#include <ctime>
#include <system_error>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/platform/private_directory.hpp"
#include "engine/support/atomic_file.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

constexpr int max_names = 1000;  // tried for one answer

// An answer, or what a process left of one that it was writing when it was killed.
bool is_ours(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".md") || engine::is_unfinished(name);
}

// Made empty, so that no other process takes it: explain-7.md, else explain-7-2.md and so on.
std::string new_name(const PrivateDirectory& directory, std::string_view name) {
  const fs::path wanted(name);
  for (int number = 1; number <= max_names; ++number) {
    const std::string suffix = number == 1 ? "" : "-" + std::to_string(number);
    std::string tried = wanted.stem().string() + suffix + wanted.extension().string();
    if (fs::exists(fs::symlink_status(directory.path() / tried))) continue;
    directory.open(tried, O_WRONLY | O_CREAT | O_EXCL);
    return tried;
  }
  throw Error("cannot write " + (directory.path() / wanted).string() +
              ": too many answers have its name");
}

}  // namespace

AnswerFiles::AnswerFiles(fs::path directory, std::chrono::milliseconds kept)
    : directory_(std::move(directory)), kept_(kept) {}

fs::path AnswerFiles::write(std::string_view name, std::string_view text) {
  if (name.empty() || name.front() == '.' || name.find('/') != std::string_view::npos) {
    throw Error("not a name for an answer's file: " + std::string(name));
  }
  if (directory_.empty()) throw Error("there is no directory of hearth's own to write it in");
  const PrivateDirectory directory(directory_);
  auto written = written_.find(name);
  if (written == written_.end()) {
    expire();
    written = written_.emplace(name, new_name(directory, name)).first;
  }
  directory.write(written->second, text);
  return directory_ / written->second;
}

std::string AnswerFiles::kept_until() const {
  if (kept_.count() == 0) return {};
  const auto end = std::chrono::system_clock::now() + kept_;
  const std::time_t time = std::chrono::system_clock::to_time_t(end);
  std::tm local{};
  char day[16];
  if (::localtime_r(&time, &local) == nullptr) return {};
  if (std::strftime(day, sizeof day, "%Y-%m-%d", &local) == 0) return {};
  return day;
}

std::size_t AnswerFiles::expire() const {
  if (kept_.count() == 0 || directory_.empty()) return 0;
  std::size_t removed = 0;
  std::error_code failed;
  if (!fs::is_directory(fs::symlink_status(directory_, failed))) return 0;  // no link either
  const auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator entry(directory_, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code skipped;
    if (!is_ours(entry->path()) || !fs::is_regular_file(entry->symlink_status(skipped))) continue;
    const auto age = now - fs::last_write_time(entry->path(), skipped);
    if (!skipped && age > kept_ && fs::remove(entry->path(), skipped)) ++removed;
  }
  return removed;
}

}  // namespace hearth::daemon
