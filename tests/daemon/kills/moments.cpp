// Control connections, inotify, kill -9.
#include "tests/daemon/kills/moments.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/platform/lock.hpp"

namespace hearth::tests {

std::optional<Json> Watcher::job(std::uint64_t id) {
  return asked("job", id);
}

std::optional<Json> Watcher::status() {
  return asked("status", 0);
}

bool Watcher::is_denied(std::uint64_t id) {
  return !job(id) && refusal_.starts_with("there is no job");
}

std::optional<Json> Watcher::asked(const char* request, std::uint64_t job) {
  constexpr std::chrono::milliseconds soon{2'000};
  refusal_.clear();
  try {
    if (!control_) control_ = daemon::connect(home_.paths(), daemon::ConnectionKind::control, soon);
    if (!control_) return std::nullopt;
  } catch (const std::exception&) {
    return std::nullopt;  // one that just begins or ends
  }
  try {
    return job == 0 ? daemon::ask(*control_, request, soon)
                    : daemon::ask(*control_, request, job, soon);
  } catch (const std::exception& refusal) {
    refusal_ = refusal.what();
    control_.reset();
    return std::nullopt;
  }
}

Writes::Writes(const std::filesystem::path& directory, std::string name)
    : inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), name_(std::move(name)) {
  std::filesystem::create_directories(directory);
  if (::inotify_add_watch(inotify_.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) <
      0)
    throw daemon::system_error("cannot watch " + directory.string(), errno);
}

bool Writes::next(std::chrono::milliseconds time) {
  using Clock = std::chrono::steady_clock;
  alignas(inotify_event) char buffer[16 * 1024];
  while (::read(inotify_.get(), buffer, sizeof buffer) > 0) {
  }
  const auto deadline = Clock::now() + time;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd poller{inotify_.get(), POLLIN, 0};
    if (::poll(&poller, 1, static_cast<int>(left)) <= 0) continue;
    const ssize_t got = ::read(inotify_.get(), buffer, sizeof buffer);
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, buffer + at, sizeof event);
      const char* const name = buffer + at + sizeof event;
      if (event.len > 0 && std::string_view(name).starts_with(name_)) return true;
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
}

pid_t daemon_of(const Home& home) {
  return daemon::holder(home.paths().lock()).value_or(0);
}

bool kill_daemon(const Home& home) {
  const pid_t pid = daemon_of(home);
  if (pid <= 0) return false;
  ::kill(pid, SIGKILL);
  return true;
}

}  // namespace hearth::tests
