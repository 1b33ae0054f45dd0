// Write beside, sync, rename.
#include "daemon/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "daemon/error.hpp"
#include "daemon/fd.hpp"

namespace hearth::daemon {
namespace {

void write_all(int fd, std::string_view text, const std::filesystem::path& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw system_error("cannot write " + path.string(), errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// A file that is gone again unless it was renamed.
class Beside {
 public:
  explicit Beside(const std::filesystem::path& path)
      : path_(path), name_((path.parent_path() / ".hearth-XXXXXX").string()) {
    fd_ = Fd(::mkostemp(name_.data(), O_CLOEXEC));
    if (!fd_) throw system_error("cannot write " + path.string(), errno);
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  ~Beside() {
    if (!renamed_) ::unlink(name_.c_str());
  }

  void write(std::string_view text) {
    write_all(fd_.get(), text, path_);
    if (::fsync(fd_.get()) != 0) throw system_error("cannot write " + path_.string(), errno);
  }
  void rename() {
    if (::rename(name_.c_str(), path_.c_str()) != 0) {
      throw system_error("cannot write " + path_.string(), errno);
    }
    renamed_ = true;
  }

 private:
  const std::filesystem::path& path_;
  std::string name_;
  Fd fd_;
  bool renamed_ = false;
};

}  // namespace

void write_file(const std::filesystem::path& path, std::string_view text) {
  Beside beside(path);
  beside.write(text);
  beside.rename();
  const Fd directory(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
}

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw system_error("cannot read " + path.string(), errno);
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error("cannot read " + path.string(), errno);
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > limit) {
      throw Error("cannot read " + path.string() + ": it has more than " + std::to_string(limit) +
                  " bytes");
    }
  }
}

}  // namespace hearth::daemon
