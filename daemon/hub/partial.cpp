// The journal is a line for each range, "BEGIN END FILE", written after the range's bytes are on
// the disk. A line that was cut off is one that does not count.
#include "daemon/hub/partial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "engine/support/atomic_file.hpp"

namespace hearth::hub {
namespace {

namespace fs = std::filesystem;
using daemon::Error;
using daemon::Fd;

constexpr const char* journal_name = ".hearth-pull.ranges";
constexpr std::size_t largest_manifest = 8 << 20;
constexpr std::size_t largest_journal = 256 << 20;

// Takes a number and the blank behind it off the line's begin; false: there is none.
bool take_number(std::string_view& line, std::uint64_t& number) {
  const auto read = std::from_chars(line.data(), line.data() + line.size(), number);
  if (read.ec != std::errc() || read.ptr == line.data() + line.size() || *read.ptr != ' ')
    return false;
  line.remove_prefix(static_cast<std::size_t>(read.ptr - line.data()) + 1);
  return true;
}

std::string line_of(const std::string& file, Range range) {
  return fmt::format("{} {} {}\n", range.begin, range.end, file);
}

// Bytes that the file takes on the disk; 0 where it is not there.
std::uint64_t allocated(const fs::path& path) {
  struct stat info {};
  constexpr std::uint64_t block = 512;
  if (::lstat(path.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * block;
}

// What the journal says that can be true of the files.
std::map<std::string, Ranges> read_journal(const fs::path& folder, const Manifest& manifest) {
  const std::string text =
      engine::read_own_file(folder / journal_name, largest_journal).value_or(std::string());
  std::map<std::string, std::uint64_t> sizes;
  for (const RemoteFile& file : manifest.files) {
    struct stat info {};
    const bool is_file = ::lstat((folder / file.name).c_str(), &info) == 0 && S_ISREG(info.st_mode);
    if (is_file) sizes[file.name] = std::min(file.size, static_cast<std::uint64_t>(info.st_size));
  }
  std::map<std::string, Ranges> there;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    std::string_view line(text.data() + at, end - at);
    Range range;
    if (!take_number(line, range.begin) || !take_number(line, range.end)) continue;
    const auto size = sizes.find(std::string(line));
    if (range.begin >= range.end || size == sizes.end() || range.end > size->second) continue;
    there[size->first].add(range);
  }
  return there;
}

// Whether a further line may be written behind it.
bool is_whole_text(const fs::path& path) {
  const auto text = engine::read_own_file(path, largest_journal);
  return text && (text->empty() || text->ends_with('\n'));
}

Fd open_folder(const fs::path& folder) {
  return Fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

}  // namespace

std::uint64_t recorded_bytes(const fs::path& folder) {
  const auto manifest = read_manifest(folder);
  std::uint64_t bytes = 0;
  if (!manifest) return bytes;
  for (const auto& [file, ranges] : read_journal(folder, *manifest)) bytes += ranges.bytes();
  return bytes;
}

bool is_being_filled(const fs::path& folder) {
  const Fd opened = open_folder(folder);
  return opened && ::flock(opened.get(), LOCK_EX | LOCK_NB) != 0;
}

std::optional<Manifest> read_manifest(const fs::path& folder) {
  const auto text = engine::read_own_file(folder / manifest_name, largest_manifest);
  if (!text) return std::nullopt;
  try {
    return parse_manifest(*text, (folder / manifest_name).string());
  } catch (const Error&) {
    return std::nullopt;
  }
}

Partial::Partial(const fs::path& whole) : whole_(whole), path_(whole.string() + partial_suffix) {
  std::error_code failed;
  fs::create_directories(path_, failed);
  folder_ = open_folder(path_);
  if (!folder_) throw daemon::system_error("cannot use " + path_.string(), errno);
  if (::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0)
    throw Error("another process downloads into " + path_.string() + ": wait for its end");
  manifest_ = read_manifest(path_);
  if (!manifest_) return;
  there_ = read_journal(path_, *manifest_);
  if (is_whole_text(path_ / journal_name)) {
    open_journal();
  } else {
    rewrite_journal();  // without the line that was cut off
  }
}

fs::path Partial::journal() const {
  return path_ / journal_name;
}

void Partial::set_manifest(const Manifest& manifest) {
  if (manifest_ && to_text(*manifest_) == to_text(manifest)) return;
  std::map<std::string, Ranges> kept;
  for (const RemoteFile& file : manifest.files) {
    if (!manifest_) break;
    const auto same = std::ranges::find(manifest_->files, file);
    const auto there = there_.find(file.name);
    if (same != manifest_->files.end() && there != there_.end()) kept.insert(*there);
  }
  there_ = std::move(kept);
  // The journal first: what it says must be true of whichever manifest is found.
  rewrite_journal();
  daemon::write_file(path_ / manifest_name, to_text(manifest));
  manifest_ = manifest;
}

void Partial::rewrite_journal() {
  std::string text;
  for (const auto& [file, ranges] : there_) {
    for (const Range& range : ranges.all()) text += line_of(file, range);
  }
  daemon::write_file(journal(), text);
  open_journal();
}

void Partial::open_journal() {
  journal_ = Fd(::open(journal().c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC));
  if (!journal_) throw daemon::system_error("cannot write " + journal().string(), errno);
}

Ranges Partial::there(const std::string& file) const {
  const std::lock_guard lock(mutex_);
  const auto found = there_.find(file);
  return found == there_.end() ? Ranges() : found->second;
}

Fd Partial::open(const std::string& file) const {
  constexpr mode_t mode = 0644;
  const fs::path path = path_ / file;
  Fd data(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!data) throw daemon::system_error("cannot write " + path.string(), errno);
  struct stat info {};
  if (::fstat(data.get(), &info) != 0 || !S_ISREG(info.st_mode))
    throw Error(path.string() + " is no regular file");
  return data;
}

void Partial::record(const std::string& file, Range range, const Fd& data) {
  if (range.begin >= range.end) return;
  if (::fdatasync(data.get()) != 0)
    throw daemon::system_error("cannot write " + (path_ / file).string(), errno);
  const std::string line = line_of(file, range);
  const std::lock_guard lock(mutex_);
  if (::write(journal_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw daemon::system_error("cannot write " + journal().string(), errno);
  there_[file].add(range);
}

void Partial::forget(const std::string& file) {
  const std::lock_guard lock(mutex_);
  there_.erase(file);
  rewrite_journal();
}

std::string Partial::read_text(const std::string& file, std::size_t limit) const {
  return daemon::read_file(path_ / file, limit);
}

std::uint64_t Partial::missing_bytes() const {
  std::uint64_t missing = 0;
  for (const RemoteFile& file : manifest_->files)
    missing += file.size - std::min(file.size, allocated(path_ / file.name));
  return missing;
}

std::uint64_t Partial::free_bytes() const {
  struct statvfs info {};
  if (::fstatvfs(folder_.get(), &info) != 0)
    throw daemon::system_error("cannot look at the disk of " + path_.string(), errno);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

void Partial::publish() {
  std::set<std::string> expected{manifest_name, journal_name};
  for (const RemoteFile& file : manifest_->files) expected.insert(file.name);
  for (const auto& entry : fs::directory_iterator(path_)) {
    // What another revision had, or a process that was killed while it wrote, is no part of it.
    if (!expected.contains(entry.path().filename().string())) fs::remove_all(entry.path());
  }
  for (const RemoteFile& file : manifest_->files) {
    const fs::path path = path_ / file.name;
    const Fd data(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!data || ::fsync(data.get()) != 0)
      throw daemon::system_error("cannot write " + path.string(), errno);
  }
  engine::sync_directory(path_);
  // An empty folder of that name gives way, and nothing else.
  if (::rename(path_.c_str(), whole_.c_str()) != 0)
    throw daemon::system_error("cannot rename " + path_.string() + " to " + whole_.string(), errno);
  std::error_code ignored;
  fs::remove(whole_ / journal_name, ignored);
  engine::sync_directory(whole_.parent_path());
}

}  // namespace hearth::hub
