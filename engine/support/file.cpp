// File over POSIX pread. Owns its descriptors, one through the page cache and one past it; never
// maps.
#include "engine/support/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace hearth::engine {
namespace {

constexpr std::size_t largest_read = std::size_t{64} << 20;  // one pread

std::string reason(int error) {
  return std::generic_category().message(error);
}

// A descriptor past the page cache; -1 where the file system refuses to open or to read like that.
int open_direct(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
  if (descriptor < 0) return -1;
  alignas(direct_alignment) std::array<std::byte, direct_alignment> trial;
  if (::pread(descriptor, trial.data(), trial.size(), 0) >= 0) return descriptor;
  ::close(descriptor);
  return -1;
}

// Throws where there is a link to what is not there.
void refuse_dangling(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path target = std::filesystem::read_symlink(path, ignored);
  if (target.empty() || std::filesystem::exists(path, ignored)) return;
  throw Error(path.string() + ": a link to " + target.string() +
              ", which does not exist; a download cache may have been pruned. Download the file "
              "again.");
}

FileStamp stamp_of(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size), static_cast<std::uint64_t>(status.st_ino),
          std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

class PosixFile final : public File {
 public:
  explicit PosixFile(const std::filesystem::path& path) : name_(path.string()) {
    // O_NONBLOCK: opening a named pipe must not hang; regular files ignore it.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) {
      const std::string why = reason(errno);
      refuse_dangling(path);
      throw Error(name_ + ": cannot open: " + why);
    }
    struct stat status {};
    const int failed = ::fstat(descriptor_, &status);
    if (failed != 0 || !S_ISREG(status.st_mode)) {
      const std::string why = failed != 0 ? reason(errno) : "not a regular file";
      ::close(descriptor_);
      throw Error(name_ + ": cannot read: " + why);
    }
    stamp_ = stamp_of(status);
    direct_ = open_direct(path);
  }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override {
    ::close(descriptor_);
    if (direct_ >= 0) ::close(direct_);
  }

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return stamp_.size; }

  void read(std::uint64_t offset, std::span<std::byte> to) const override {
    if (offset > size() || to.size() > size() - offset) fail_short(offset, to.size());
    while (!to.empty()) {
      const ssize_t got = ::pread(descriptor_, to.data(), std::min(to.size(), largest_read),
                                  static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        throw Error(name_ + ": reading at byte " + std::to_string(offset) +
                    " failed: " + reason(errno));
      }
      if (got == 0) fail_short(offset, to.size());
      offset += static_cast<std::uint64_t>(got);
      to = to.subspan(static_cast<std::size_t>(got));
    }
  }

  std::size_t read_direct(std::uint64_t offset, std::span<std::byte> to) const override {
    const int descriptor = direct() ? direct_ : descriptor_;
    for (;;) {
      const ssize_t got = ::pread(descriptor, to.data(), to.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        throw Error(name_ + ": reading at byte " + std::to_string(offset) +
                    " failed: " + reason(errno));
      }
      if (!direct()) {
        ::posix_fadvise(descriptor, static_cast<off_t>(offset), got, POSIX_FADV_DONTNEED);
      }
      return static_cast<std::size_t>(got);
    }
  }
  bool direct() const override { return direct_ >= 0; }
  int direct_descriptor() const override { return direct_; }

  FileStamp stamp() const override { return stamp_; }
  std::optional<FileStamp> stamp_now() const override {
    struct stat status {};
    if (::stat(name_.c_str(), &status) != 0) return std::nullopt;
    return stamp_of(status);
  }

  void check_unchanged() const override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return;
    if (stamp_of(status) == stamp_) return;
    throw Error(name_ +
                ": the file was changed while in use. Restart with `hearth stop`; if its "
                "content was damaged, download it again.");
  }
  void drop_cached() const override { ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED); }

 private:
  [[noreturn]] void fail_short(std::uint64_t offset, std::size_t wanted) const {
    throw Error(name_ + ": " + std::to_string(wanted) + " bytes wanted at byte " +
                std::to_string(offset) + ", but the file had " + std::to_string(size()) +
                " when opened and may have been cut since. Download it again.");
  }

  std::string name_;
  int descriptor_ = -1;
  int direct_ = -1;
  FileStamp stamp_;
};

}  // namespace

std::unique_ptr<File> open_file(const std::filesystem::path& path) {
  return std::make_unique<PosixFile>(path);
}

bool file_exists(const std::filesystem::path& path) {
  std::error_code ignored;  // opening it says what is wrong
  if (std::filesystem::exists(path, ignored)) return true;
  refuse_dangling(path);
  return false;
}

std::string read_text(const std::filesystem::path& path, std::uint64_t limit) {
  const std::unique_ptr<File> file = open_file(path);
  if (file->size() > limit) {
    throw Error(file->name() + ": " + std::to_string(file->size()) + " bytes; at most " +
                std::to_string(limit) + " are expected of such a file");
  }
  std::string text(static_cast<std::size_t>(file->size()), '\0');
  file->read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace hearth::engine
