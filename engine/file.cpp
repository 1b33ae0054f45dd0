// File over POSIX pread. Owns the descriptor; never maps.
#include "engine/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace hearth::engine {
namespace {

constexpr std::size_t largest_read = std::size_t{64} << 20;  // one pread

std::string reason(int error) {
  return std::generic_category().message(error);
}

class PosixFile final : public File {
 public:
  explicit PosixFile(const std::filesystem::path& path) : name_(path.string()) {
    // O_NONBLOCK: opening a named pipe must not hang; regular files ignore it.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) throw Error(name_ + ": cannot open: " + reason(errno));
    struct stat status {};
    const int failed = ::fstat(descriptor_, &status);
    if (failed != 0 || !S_ISREG(status.st_mode)) {
      const std::string why = failed != 0 ? reason(errno) : "not a regular file";
      ::close(descriptor_);
      throw Error(name_ + ": cannot read: " + why);
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override { ::close(descriptor_); }

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t offset, std::span<std::byte> to) const override {
    if (offset > size_ || to.size() > size_ - offset) fail_short(offset, to.size());
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

 private:
  [[noreturn]] void fail_short(std::uint64_t offset, std::size_t wanted) const {
    throw Error(name_ + ": " + std::to_string(wanted) + " bytes wanted at byte " +
                std::to_string(offset) + ", but the file had " + std::to_string(size_) +
                " when opened and may have been cut since. Download it again.");
  }

  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace

std::unique_ptr<File> open_file(const std::filesystem::path& path) {
  return std::make_unique<PosixFile>(path);
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
