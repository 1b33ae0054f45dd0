// Finds, starts, asks and stops the daemon.
#include "daemon/transport/control_client.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>

#include "daemon/platform/lock.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/platform/spawn.hpp"
#include "daemon/platform/version.hpp"
#include "daemon/transport/socket.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds start_timeout{20'000};
constexpr milliseconds stop_timeout{30'000};   // of a daemon that said that it stops
constexpr milliseconds signal_timeout{3'000};  // for what a signal does
constexpr milliseconds retry_interval{20};
constexpr milliseconds change_timeout{2'000};  // for a daemon that starts or stops

void pause(milliseconds time) {
  ::poll(nullptr, 0, static_cast<int>(time.count()));
}

struct Refused : Error {
  using Error::Error;
};

std::optional<Fd> reach(const Paths& paths, milliseconds timeout) {
  try {
    return connect_socket(paths.socket(), timeout);
  } catch (const NotAccepted&) {
    throw Unreachable(paths, holder(paths.lock()).value_or(0), true);
  }
}

std::optional<Connected> say_hello(const Paths& paths, ConnectionKind kind, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  auto socket = reach(paths, timeout);
  if (!socket) return std::nullopt;
  const auto peer = identity_of_peer(socket->get());
  MessageStream stream(std::move(*socket));
  std::error_code ignored;
  const auto cwd = std::filesystem::current_path(ignored).string();
  stream.send(encode(Hello{protocol_version, build(), kind, ::getpid(), cwd}));
  const auto answer = stream.receive(timeout);
  if (!answer && Clock::now() >= deadline) throw Unreachable(paths, peer ? peer->pid : 0, true);
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
      return "the daemon was started but does not listen";
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
  return stop_daemon(paths) != Stopped::none;
}

// Waits for the end of a process that holds, or held, the daemon's lock. False: it goes on.
bool wait_for_end(const Paths& paths, pid_t pid, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const auto held = [&] {
    const auto by = holder(paths.lock());
    return by == pid || by == 0;
  };
  while (held()) {
    if (Clock::now() > deadline) return false;
    pause(retry_interval);
  }
  return true;
}

// What becomes of a daemon that does not end by itself.
Stopped end(const Paths& paths, pid_t pid, bool force) {
  const std::string name = "the daemon (process " + std::to_string(pid) + ")";
  if (!force) throw Error(name + " does not stop: `hearth stop --force` ends it");
  ::kill(pid, SIGKILL);
  if (wait_for_end(paths, pid, signal_timeout)) return Stopped::by_force;
  throw Error(name + " does not end even by force: it waits for the system, a disk most likely");
}

// One that does not answer. It may have lost its socket and nothing else: then a signal is enough.
Stopped end_silent(const Paths& paths, const Unreachable& daemon, bool force) {
  const pid_t pid = holder(paths.lock()).value_or(daemon.process());
  if (pid <= 0 || (daemon.listens() && !force)) throw daemon;
  if (!daemon.listens()) {
    ::kill(pid, SIGTERM);
    if (wait_for_end(paths, pid, signal_timeout)) return Stopped::itself;
  }
  return end(paths, pid, force);
}

}  // namespace

std::optional<Connected> connect(const Paths& paths, ConnectionKind kind, milliseconds timeout) {
  std::error_code ignored;
  if (!std::filesystem::exists(paths.runtime, ignored)) return std::nullopt;
  make_private_directory(paths.runtime);
  return say_hello(paths, kind, timeout);
}

Unreachable::Unreachable(const Paths& paths, pid_t process, bool listens)
    : Error((process > 0 ? "process " + std::to_string(process) : "a process of unknown number") +
            " is the daemon (it holds " + paths.lock().string() + "), but does not answer at " +
            paths.socket().string() + ": `hearth stop" + (listens ? " --force" : "") + "` ends it"),
      process_(process),
      listens_(listens) {}

std::optional<Connected> find_daemon(const Paths& paths, ConnectionKind kind,
                                     milliseconds timeout) {
  const auto deadline = Clock::now() + change_timeout;
  for (;;) {
    auto connected = connect(paths, kind, timeout);
    if (connected) return connected;
    const auto pid = holder(paths.lock());
    if (!pid) return std::nullopt;
    if (Clock::now() > deadline) throw Unreachable(paths, *pid, false);
    pause(retry_interval);
  }
}

Connected connect_or_start(const Paths& paths, ConnectionKind kind,
                           const std::vector<std::string>& arguments) {
  make_private_directory(paths.runtime);
  const auto deadline = Clock::now() + start_timeout;
  std::string complaint;  // of the last one that was started
  while (Clock::now() < deadline) {
    auto connected = say_hello(paths, kind, answer_timeout);
    if (connected && !hand_over(paths, connected->welcome)) return std::move(*connected);
    complaint = start(arguments, deadline);
    if (!complaint.empty() && Clock::now() < deadline) throw Error(complaint);
    // Either ours listens now, or another one that is starting or stopping holds the lock.
    if (!std::filesystem::exists(paths.socket())) pause(retry_interval);
  }
  if (const auto pid = holder(paths.lock())) throw Unreachable(paths, *pid, false);
  if (!complaint.empty()) throw Error(complaint);
  throw Error("no daemon can be reached at " + paths.socket().string());
}

namespace {

// A piece, or {"result": …}. Throws Error where it is {"error": …}.
nlohmann::json read_said(std::string body) {
  nlohmann::json value;
  try {
    value = lsp::parse_json(body);
  } catch (const lsp::BadJson&) {
    // Said below.
  }
  if (!value.is_object()) throw Error("the daemon's answer is not understood");
  if (!value.contains("error")) return value;
  // A message that is refused by its size is answered as LSP's are.
  const nlohmann::json& error = value["error"];
  const nlohmann::json text = error.is_object() ? error.value("message", error) : error;
  throw Error(text.is_string() ? text.get<std::string>() : "the daemon refuses the request");
}

std::string framed_body(const nlohmann::json& message) {
  return message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json answer_to(Connected& control, const nlohmann::json& message, milliseconds timeout) {
  control.stream.send(framed_body(message));
  auto answer = control.stream.receive(timeout);
  if (!answer) {
    throw Error("the daemon (process " + std::to_string(control.welcome.pid) +
                ") does not answer: `hearth stop --force` ends it");
  }
  return read_said(std::move(*answer)).value("result", nlohmann::json());
}

// Waits for at most `timeout`. False: the daemon is gone.
bool transfer(MessageStream& stream, milliseconds timeout) {
  pollfd pollers[] = {{stream.in(), POLLIN, 0},
                      {stream.unsent() > 0 ? stream.out() : -1, POLLOUT, 0}};
  if (::poll(pollers, 2, static_cast<int>(timeout.count())) < 0) return errno == EINTR;
  // Read first: what closes the connection without reading may have said why.
  if (pollers[0].revents != 0) return stream.fill();
  return pollers[1].revents == 0 || stream.flush();
}

}  // namespace

nlohmann::json ask(Connected& control, std::string_view request, milliseconds timeout) {
  return answer_to(control, {{"request", request}}, timeout);
}

nlohmann::json ask(Connected& control, std::string_view request, std::uint64_t job,
                   milliseconds timeout) {
  return answer_to(control, {{"request", request}, {"id", job}}, timeout);
}

std::optional<nlohmann::json> follow(
    Connected& control, const nlohmann::json& message,
    const std::function<void(const nlohmann::json& piece)>& on_piece,
    const std::atomic<bool>* interrupt) {
  constexpr milliseconds look_every{50};
  control.stream.send(framed_body(message));
  for (;;) {
    while (auto body = control.stream.next()) {
      const nlohmann::json said = read_said(std::move(*body));
      if (said.contains("result")) return said["result"];
      on_piece(said);
    }
    if (interrupt != nullptr && *interrupt) return std::nullopt;
    if (!transfer(control.stream, look_every)) {
      throw Error("the daemon (process " + std::to_string(control.welcome.pid) +
                  ") ended before the answer was whole");
    }
  }
}

Stopped stop_daemon(const Paths& paths, bool force, milliseconds timeout) {
  pid_t pid = 0;
  try {
    auto control = find_daemon(paths, ConnectionKind::control, timeout);
    if (!control) return Stopped::none;
    pid = control->welcome.pid;
    ask(*control, name(ControlRequest::stop), timeout);
  } catch (const Unreachable& silent) {
    return end_silent(paths, silent, force);
  } catch (const Refused&) {
    // It speaks another protocol, but every daemon understands the signal.
    const auto running = holder(paths.lock());
    if (!running || *running <= 0) throw;
    pid = *running;
    ::kill(pid, SIGTERM);
  }
  if (wait_for_end(paths, pid, force ? signal_timeout : stop_timeout)) return Stopped::itself;
  return end(paths, pid, force);
}

}  // namespace hearth::daemon
