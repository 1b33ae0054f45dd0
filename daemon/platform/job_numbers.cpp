// JobNumbers: the last number, in a file of one line.
#include "daemon/platform/job_numbers.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace hearth::daemon {
namespace {

// As written, padded: a shorter number leaves no digits of a longer one behind it.
constexpr std::size_t line_bytes = 21;

std::uint64_t seconds_of_the_clock() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

// Never blocks, follows no link, and takes nothing but a file of this user.
Fd open_own_file(const std::filesystem::path& path) {
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_uid != ::getuid()) {
    return Fd();
  }
  return file;
}

// 0 in a new file; empty where something else than a number is there.
std::optional<std::uint64_t> read_number(int file) {
  char text[line_bytes + 1];
  const ssize_t got = ::pread(file, text, sizeof text, 0);
  if (got == 0) return 0;
  std::uint64_t number = 0;
  const char* const end = text + std::max<ssize_t>(got, 0);
  const auto parsed = std::from_chars(text, end, number);
  const bool only_number =
      std::all_of(parsed.ptr, end, [](char c) { return c == ' ' || c == '\n'; });
  if (parsed.ec != std::errc() || !only_number || number > INT64_MAX / 2) return std::nullopt;
  return number;
}

}  // namespace

JobNumbers::JobNumbers(const std::filesystem::path& file) : file_(open_own_file(file)) {
  const auto number = file_ ? read_number(file_.get()) : std::nullopt;
  last_ = number ? *number : seconds_of_the_clock();
}

std::uint64_t JobNumbers::next() {
  ++last_;
  std::string line = std::to_string(last_);
  line.resize(line_bytes - 1, ' ');
  line += '\n';
  if (file_ &&
      ::pwrite(file_.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    // What the next daemon finds may be this number or an earlier one.
    last_ = std::max(last_, seconds_of_the_clock());
    file_.reset();
  }
  return last_;
}

}  // namespace hearth::daemon
