// Writes a file beside, syncs it and renames it.
#include "engine/support/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace hearth::engine {
namespace {

constexpr std::string_view unfinished = ".hearth-";
constexpr std::size_t piece = std::size_t{8} << 20;

// No other process and no other thread uses it at the same time.
std::string name_beside() {
  static std::atomic<unsigned> count{0};
  return std::string(unfinished) + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

// Some file systems cannot sync a directory, and need not.
int sync_open_directory(int directory) {
  return ::fsync(directory) == 0 || errno == EINVAL ? 0 : errno;
}

int open_directory(const std::filesystem::path& path) {
  const char* const name = path.empty() ? "." : path.c_str();
  return ::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path, WriteFunction write)
    : path_(std::move(path)), write_(std::move(write)) {
  own_directory_.value = directory_ = open_directory(path_.parent_path());
  if (directory_ < 0) fail(errno);
  open();
}

AtomicFile::AtomicFile(int directory, std::filesystem::path path, WriteFunction write)
    : path_(std::move(path)), write_(std::move(write)), directory_(directory) {
  open();
}

AtomicFile::~AtomicFile() {
  if (!beside_.empty()) ::unlinkat(directory_, beside_.c_str(), 0);
}

AtomicFile::Descriptor::~Descriptor() {
  if (value >= 0) ::close(value);
}

void AtomicFile::open() {
  if (!write_) write_ = ::write;
  beside_ = name_beside();
  ::unlinkat(directory_, beside_.c_str(), 0);  // of a dead process that had this one's number
  file_.value = ::openat(directory_, beside_.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file_.value < 0) fail(errno);
}

void AtomicFile::expect(std::uint64_t bytes) {
  const int failed = ::fallocate(file_.value, 0, 0, static_cast<off_t>(bytes));
  if (failed != 0 && errno == ENOSPC) fail(errno);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write_(file_.value, bytes.data(), std::min(bytes.size(), piece));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail(put < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void AtomicFile::sync() {
  if (::fsync(file_.value) != 0) fail(errno);
}

void AtomicFile::publish() {
  sync();
  const std::string name = path_.filename().string();
  if (::renameat(directory_, beside_.c_str(), directory_, name.c_str()) != 0) fail(errno);
  beside_.clear();
  if (const int error = sync_open_directory(directory_); error != 0) fail(error);
}

void AtomicFile::fail(int error) const {
  throw Error("cannot write " + path_.string() + ": " + std::generic_category().message(error));
}

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.publish();
}

bool is_unfinished(std::string_view name) {
  return name.starts_with(unfinished);
}

void sync_directory(const std::filesystem::path& directory) {
  const int opened = open_directory(directory);
  const int error = opened < 0 ? errno : sync_open_directory(opened);
  if (opened >= 0) ::close(opened);
  if (error == 0) return;
  throw Error("cannot write " + directory.string() + ": " + std::generic_category().message(error));
}

std::optional<std::string> read_own_file(const std::filesystem::path& path, std::uint64_t limit) {
  // O_NONBLOCK: a named pipe must not hang.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (file < 0) return std::nullopt;
  struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } const closer{file};
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  if (static_cast<std::uint64_t>(status.st_size) > limit) return std::nullopt;
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(file, text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    done += static_cast<std::size_t>(got);
  }
  return text;
}

}  // namespace hearth::engine
