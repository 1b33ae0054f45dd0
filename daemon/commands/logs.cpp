// `hearth logs`: the end of the daemon's log, and what is added to it.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "daemon/commands/commands.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/fd.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/paths.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

constexpr int look_every = 200;          // ms, while following
constexpr off_t longest_tail = 4 << 20;  // bytes of the end that lines are counted in

struct LogsFlags {
  std::size_t lines = 40;
  bool follow = false;
};

// Invalid where there is none.
Fd open_log(const fs::path& log) {
  return Fd(::open(log.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// What is behind the present place.
std::string read_rest(const Fd& file) {
  std::string text;
  std::array<char, 1 << 16> buffer{};
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0) throw Error("the log cannot be read: " + std::string(::strerror(errno)));
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::string_view last_lines(std::string_view text, std::size_t count) {
  std::size_t begin = text.size();
  if (count == 0) return {};
  for (std::size_t seen = 0; begin > 0; --begin) {
    const bool line_ends = text[begin - 1] == '\n' && begin < text.size();
    if (line_ends && ++seen == count) break;
  }
  return text.substr(begin);
}

// Whether another file has the name now: the log was begun anew.
bool replaced(const Fd& file, const fs::path& log) {
  struct stat open_file {};
  struct stat named {};
  if (::fstat(file.get(), &open_file) != 0 || ::lstat(log.c_str(), &named) != 0) return false;
  return open_file.st_ino != named.st_ino || open_file.st_dev != named.st_dev;
}

// Until Ctrl-C, or until nobody reads what is printed.
void follow(Fd file, const fs::path& log) {
  const InterruptFlag interrupt;
  while (!interrupt.flag() && std::ferror(stdout) == 0) {
    if (file) print(read_rest(file));
    if (!file || replaced(file, log)) {
      if (file) print(read_rest(file));  // what came before it was put aside
      file = open_log(log);
      if (file) continue;
    }
    ::poll(nullptr, 0, look_every);
  }
}

int run_logs(const LogsFlags& flags) {
  const fs::path log = find_paths().log();
  if (log.empty()) throw Error("there is no log: no state directory may be used (`hearth doctor`)");
  Fd file = open_log(log);
  if (!file && !(flags.follow && errno == ENOENT)) {
    throw Error(errno == ENOENT ? "there is no log yet: the daemon writes it to " + log.string()
                                : log.string() + ": " + ::strerror(errno));
  }
  if (file) {
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    ::lseek(file.get(), std::max<off_t>(0, size - longest_tail), SEEK_SET);
    print(last_lines(read_rest(file), flags.lines));
  }
  if (flags.follow) follow(std::move(file), log);
  return 0;
}

}  // namespace

void add_logs(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("logs", "Shows the end of the daemon's log");
  auto flags = std::make_shared<LogsFlags>();
  command->add_flag("-f,--follow", flags->follow, "Go on with what is added, until Ctrl-C");
  command->add_option("-n,--lines", flags->lines, "Lines of the end that are shown")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  command->footer(
      "Nothing of your texts is in it, but at the level \"trace\" (log.level in the\n"
      "configuration).\n"
      "\n"
      "Examples:\n"
      "  hearth daemon && hearth logs\n"
      "  hearth logs --lines 200 | grep -i warn || echo no warning");
  command->callback([&chosen, flags] { chosen = [flags] { return run_logs(*flags); }; });
}

}  // namespace hearth::daemon
