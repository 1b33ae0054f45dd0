// The handler may call what is async-signal-safe only: no allocation, no lock, no stdio.
#include "daemon/platform/fatal_signal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <memory>
#include <string_view>

namespace hearth::daemon {
namespace {

struct Fatal {
  int number;
  std::string_view name;
  struct sigaction before {};
};
std::array<Fatal, 6> fatal{{{SIGSEGV, "SIGSEGV"},
                            {SIGBUS, "SIGBUS"},
                            {SIGFPE, "SIGFPE"},
                            {SIGILL, "SIGILL"},
                            {SIGABRT, "SIGABRT"},
                            {SIGSYS, "SIGSYS"}}};
std::array<char, 4096> log_path{};
std::chrono::seconds utc_offset{0};  // known before: localtime() takes a lock

class Line {
 public:
  Line& operator<<(std::string_view text) {
    const std::size_t size = std::min(text.size(), text_.size() - size_);
    std::memcpy(text_.data() + size_, text.data(), size);
    size_ += size;
    return *this;
  }
  // With zeros before it, where it has fewer digits.
  Line& number(long value, std::ptrdiff_t digits) {
    std::array<char, 24> text{};
    const auto end = std::to_chars(text.begin(), text.end(), value).ptr;
    for (std::ptrdiff_t have = end - text.begin(); have < digits; ++have) *this << "0";
    return *this << std::string_view(text.begin(), end);
  }
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 256> text_{};
  std::size_t size_ = 0;
};

// As the log's own lines begin.
void write_time(Line& line) {
  using namespace std::chrono;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const sys_seconds time{seconds{now.tv_sec} + utc_offset};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  line.number(static_cast<int>(date.year()), 4) << "-";
  line.number(static_cast<unsigned>(date.month()), 2) << "-";
  line.number(static_cast<unsigned>(date.day()), 2) << " ";
  line.number(clock.hours().count(), 2) << ":";
  line.number(clock.minutes().count(), 2) << ":";
  line.number(clock.seconds().count(), 2) << ".";
  line.number(now.tv_nsec / 1'000'000, 3);
}

void write_line(const Fatal& signal) {
  Line line;
  write_time(line);
  line << " error process ";
  line.number(::getpid(), 1) << " is ended by signal ";
  line.number(signal.number, 1) << " (" << signal.name << ")\n";
  int fd = STDERR_FILENO;
  if (log_path[0] != '\0') {
    // By name: the log may have been rotated since.
    fd = ::open(log_path.data(),
                O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  }
  const ssize_t written = ::write(fd, line.text().data(), line.text().size());
  static_cast<void>(written);  // there is nobody left to tell
}

void handle(int number, siginfo_t* info, void*) {
  for (const Fatal& signal : fatal) {
    if (signal.number != number) continue;
    write_line(signal);
    ::sigaction(number, &signal.before, nullptr);
  }
  // A fault comes again when this returns, and abort() goes on; what was sent would not.
  if (info->si_code <= 0) ::raise(number);
}

// Where the handler runs when the thread's own stack is used up.
class SignalStack {
 public:
  SignalStack() {
    stack_t now{};
    if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0)
      return;  // a sanitizer's
    constexpr std::size_t size = 64 * 1024;
    memory_ = std::make_unique<std::byte[]>(size);
    const stack_t ours{.ss_sp = memory_.get(), .ss_flags = 0, .ss_size = size};
    ::sigaltstack(&ours, nullptr);
  }
  ~SignalStack() {
    if (!memory_) return;
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    ::sigaltstack(&none, nullptr);
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  std::unique_ptr<std::byte[]> memory_;
};

}  // namespace

void log_fatal_signals(const std::filesystem::path& log) {
  prepare_thread_for_fatal_signals();
  const std::string& name = log.native();
  if (name.size() < log_path.size()) std::memcpy(log_path.data(), name.c_str(), name.size() + 1);
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  if (::localtime_r(&now, &local) != nullptr) utc_offset = std::chrono::seconds{local.tm_gmtoff};
  for (Fatal& signal : fatal) {
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigaction(signal.number, &action, &signal.before);
  }
}

void prepare_thread_for_fatal_signals() {
  thread_local const SignalStack stack;
}

}  // namespace hearth::daemon
