// Hello from the client's side.
#include "daemon/client.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>

#include "daemon/error.hpp"
#include "daemon/lock.hpp"
#include "daemon/socket.hpp"
#include "daemon/spawn.hpp"
#include "daemon/version.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds answer_patience{10'000};
constexpr milliseconds start_patience{20'000};
constexpr milliseconds stop_patience{30'000};
constexpr milliseconds retry_every{20};

void pause(milliseconds time) {
  ::poll(nullptr, 0, static_cast<int>(time.count()));
}

struct Refused : Error {
  using Error::Error;
};

std::optional<Connected> say_hello(const Paths& paths, ConnectionKind kind) {
  auto socket = connect_socket(paths.socket());
  if (!socket) return std::nullopt;
  MessageStream stream(std::move(*socket));
  std::error_code ignored;
  const auto cwd = std::filesystem::current_path(ignored).string();
  stream.send(encode(Hello{protocol_version, build(), kind, ::getpid(), cwd}));
  const auto answer = stream.receive(answer_patience);
  // One that is just stopping closes the connection, which is as if none were there.
  if (!answer) return std::nullopt;
  Welcome welcome = parse_welcome(*answer);
  if (!welcome.error.empty()) throw Refused(welcome.error);
  return Connected{std::move(stream), std::move(welcome)};
}

// What a daemon that was started says until it listens: nothing, or why it cannot.
std::string start(const std::vector<std::string>& arguments, Clock::time_point deadline) {
  std::vector<std::string> command{executable().string(), "daemon"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Fd ready = spawn_detached(command);
  std::string said;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    pollfd poller{ready.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&poller, 1, static_cast<int>(left)) == 0) {
      throw Error("the daemon was started but does not listen");
    }
    char buffer[4096];
    const ssize_t got = ::read(ready.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return said;
    said.append(buffer, static_cast<std::size_t>(got));
  }
}

// Another build's daemon that nobody uses makes room for this one's. True: it is gone.
bool hand_over(const Paths& paths, const Welcome& welcome) {
  if (welcome.build == build() || !welcome.idle) return false;
  return stop_daemon(paths);
}

// Waits for the end of a process that holds, or held, the daemon's lock.
void wait_for_end(const Paths& paths, pid_t pid) {
  const auto deadline = Clock::now() + stop_patience;
  const auto held = [&] {
    const auto by = holder(paths.lock());
    return by == pid || by == 0;
  };
  while (held()) {
    if (Clock::now() > deadline) {
      throw Error("the daemon (process " + std::to_string(pid) + ") does not stop: kill it");
    }
    pause(retry_every);
  }
}

}  // namespace

std::optional<Connected> connect(const Paths& paths, ConnectionKind kind) {
  std::error_code ignored;
  if (!std::filesystem::exists(paths.runtime, ignored)) return std::nullopt;
  make_private_directory(paths.runtime);
  return say_hello(paths, kind);
}

Connected connect_or_start(const Paths& paths, ConnectionKind kind,
                           const std::vector<std::string>& arguments) {
  make_private_directory(paths.runtime);
  const auto deadline = Clock::now() + start_patience;
  while (Clock::now() < deadline) {
    auto connected = say_hello(paths, kind);
    if (connected && !hand_over(paths, connected->welcome)) return std::move(*connected);
    const std::string complaint = start(arguments, deadline);
    if (!complaint.empty()) throw Error(complaint);
    // Either ours listens now, or another one that is starting or stopping holds the lock.
    if (!std::filesystem::exists(paths.socket())) pause(retry_every);
  }
  throw Error("no daemon can be reached at " + paths.socket().string());
}

nlohmann::json ask(Connected& control, const std::string& request) {
  control.stream.send(nlohmann::json{{"request", request}}.dump());
  const auto answer = control.stream.receive(answer_patience);
  if (!answer) throw Error("the daemon does not answer");
  const auto value = nlohmann::json::parse(*answer, nullptr, false);
  if (!value.is_object()) throw Error("the daemon's answer is not understood");
  if (value.contains("error")) throw Error(value["error"].get<std::string>());
  return value.value("result", nlohmann::json());
}

bool stop_daemon(const Paths& paths) {
  pid_t pid = 0;
  try {
    auto control = connect(paths, ConnectionKind::control);
    if (!control) return false;
    pid = control->welcome.pid;
    ask(*control, "stop");
  } catch (const Refused&) {
    // It speaks another protocol, but every daemon understands the signal.
    const auto running = holder(paths.lock());
    if (!running || *running <= 0) throw;
    pid = *running;
    ::kill(pid, SIGTERM);
  }
  wait_for_end(paths, pid);
  return true;
}

}  // namespace hearth::daemon
