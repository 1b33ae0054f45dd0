// See terminal.hpp.
#include "tests/daemon/terminal.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <regex>

namespace hearth::tests {

Terminal::Terminal(const std::vector<std::string>& command,
                   const std::map<std::string, std::string>& environment, unsigned short columns) {
  std::vector<char*> arguments;
  for (const std::string& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  winsize size{};
  size.ws_col = columns;
  size.ws_row = 40;
  int screen = -1;
  child_ = ::forkpty(&screen, nullptr, nullptr, &size);
  if (child_ == 0) {
    ::setenv("TERM", "xterm-256color", 1);
    ::unsetenv("NO_COLOR");
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  REQUIRE(child_ > 0);
  screen_ = daemon::Fd(screen);
}

Terminal::~Terminal() {
  if (child_ <= 0) return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

void Terminal::type(const std::string& keys) const {
  REQUIRE(::write(screen_.get(), keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
}

bool Terminal::read_more() {
  constexpr int timeout = 60'000;  // ms; only a program that hangs takes so long
  pollfd ready{screen_.get(), POLLIN, 0};
  if (::poll(&ready, 1, timeout) <= 0) return false;
  char buffer[4096];
  const ssize_t got = ::read(screen_.get(), buffer, sizeof buffer);  // EIO at the end
  if (got <= 0) return false;
  shown_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::string Terminal::until(const std::string& text) {
  std::size_t at = shown_.find(text);
  while (at == std::string::npos) {
    if (!read_more()) {
      CAPTURE(shown_);
      FAIL("waited in vain for: " << text);
    }
    at = shown_.find(text);
  }
  const std::string seen = shown_.substr(0, at + text.size());
  shown_.erase(0, seen.size());
  return seen;
}

void Terminal::until_raw() const {
  termios modes{};
  for (int tries = 0; tries < 6'000; ++tries) {
    if (::tcgetattr(screen_.get(), &modes) == 0 && (modes.c_lflag & ICANON) == 0) return;
    ::poll(nullptr, 0, 10);
  }
  FAIL("the program does not edit lines");
}

int Terminal::finish() {
  while (read_more()) {
  }
  pollfd ready{screen_.get(), POLLIN, 0};
  if (::poll(&ready, 1, 0) == 0) {  // still open, and nothing comes any more
    ::kill(child_, SIGKILL);
    CAPTURE(shown_);
    FAIL_CHECK("the program did not end");
  }
  int status = 0;
  REQUIRE(::waitpid(child_, &status, 0) == child_);
  child_ = -1;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (code != 0) MESSAGE("ended with " << code << ": " << plain(shown_));
  return code;
}

void Terminal::signal(int number) const {
  REQUIRE(::kill(child_, number) == 0);
}

std::string plain(const std::string& shown) {
  static const std::regex escapes("\x1b(\\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])|\r");
  return std::regex_replace(shown, escapes, "");
}

}  // namespace hearth::tests
