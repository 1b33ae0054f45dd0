// The forwarder's loop.
#include "daemon/forwarder.hpp"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>

#include "daemon/client.hpp"
#include "daemon/error.hpp"
#include "daemon/relay.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int not_initialized = -32002;
constexpr int request_failed = -32803;
// A daemon that goes so often in so short a time will go again.
constexpr std::size_t most_restarts = 5;
constexpr std::chrono::minutes restart_period{5};
// Beyond this the one side is read no further until the other has taken something.
constexpr std::size_t most_unsent = 16 * 1024 * 1024;
constexpr std::chrono::milliseconds farewell_patience{2'000};

class Forwarder {
 public:
  Forwarder(const Paths& paths, const std::vector<std::string>& arguments, int in, int out)
      : paths_(paths), arguments_(arguments), client_(in, out) {}

  int run() {
    try {
      daemon_.emplace(connect_or_start(paths_, ConnectionKind::lsp, arguments_).stream);
    } catch (const Error& error) {
      return refuse(error.what());
    }
    while (!relay_.exit_code()) {
      if (!wait()) break;
    }
    say_farewell();
    return relay_.exit_code().value_or(0);
  }

 private:
  // One round of reading and writing whatever is ready. False: the editor is gone.
  bool wait() {
    enum { from_client, to_client, from_daemon, to_daemon };
    const bool connected = daemon_.has_value();
    const bool daemon_takes = !connected || daemon_->unsent() < most_unsent;
    const bool client_takes = client_.unsent() < most_unsent;
    pollfd pollers[] = {{daemon_takes ? client_.in() : -1, POLLIN, 0},
                        {client_.unsent() > 0 ? client_.out() : -1, POLLOUT, 0},
                        {connected && client_takes ? daemon_->in() : -1, POLLIN, 0},
                        {connected && daemon_->unsent() > 0 ? daemon_->out() : -1, POLLOUT, 0}};
    if (::poll(pollers, 4, -1) < 0) return errno == EINTR;

    if (pollers[to_client].revents != 0 && !client_.flush()) return false;
    if (pollers[from_client].revents != 0) {
      const bool alive = client_.fill();
      if (!hand_on_from_client()) return false;
      if (!alive && client_.in_the_middle()) {
        throw lsp::WireError("the editor's stream ends in the middle of a message");
      }
      if (!alive) return false;
    }
    bool daemon_alive = true;
    if (connected && daemon_) {
      if (pollers[to_daemon].revents != 0) daemon_alive = daemon_->flush();
      if (pollers[from_daemon].revents != 0) daemon_alive = daemon_->fill() && daemon_alive;
      hand_on_from_daemon();
    }
    if (!daemon_alive) lose_daemon();
    return true;
  }

  // False once the editor has said `exit`.
  bool hand_on_from_client() {
    while (auto body = client_.next()) {
      if (!daemon_ && !relay_.shut_down()) start_again();
      const std::string message = relay_.from_client(std::move(*body));
      if (!message.empty() && daemon_) daemon_->send(message);
      if (relay_.exit_code()) return false;
    }
    return true;
  }

  void hand_on_from_daemon() {
    while (auto body = daemon_->next()) {
      const std::string message = relay_.from_daemon(std::move(*body));
      if (!message.empty()) client_.send(message);
    }
  }

  void lose_daemon() {
    const bool asked_to_stop = relay_.said_goodbye();
    daemon_.reset();
    for (const auto& message : relay_.daemon_lost()) client_.send(message);
    // One that was stopped stays away until the editor speaks again.
    if (!asked_to_stop && !relay_.shut_down()) start_again();
  }

  void start_again() {
    const auto now = Clock::now();
    std::erase_if(restarts_, [now](auto when) { return now - when > restart_period; });
    if (restarts_.size() >= most_restarts) {
      give_up("hearth's daemon ended " + std::to_string(most_restarts + 1) +
              " times in a short time; its log says why (`hearth status` names the file)");
    }
    restarts_.push_back(now);
    try {
      daemon_.emplace(connect_or_start(paths_, ConnectionKind::lsp, arguments_).stream);
    } catch (const Error& error) {
      give_up(std::string("hearth's daemon ended and cannot be started again: ") + error.what());
    }
    for (const auto& message : relay_.replay()) daemon_->send(message);
    const std::string notice =
        relay_.notice("hearth's daemon ended and was started again; unfinished requests are lost");
    if (!notice.empty()) client_.send(notice);
  }

  [[noreturn]] void give_up(const std::string& reason) {
    const std::string notice = relay_.notice(reason);
    if (!notice.empty()) client_.send(notice);
    if (const auto id = relay_.unanswered_initialize()) {
      client_.send(error_response(*id, request_failed, reason));
    }
    drain(client_);
    throw Error(reason);
  }

  // No daemon can be had: the editor is told in answer to its first request.
  int refuse(const std::string& reason) {
    bool initialized = false;
    while (auto body = client_.receive(std::chrono::hours(24))) {
      const auto message = lsp::Json::parse(*body, nullptr, false);
      if (!message.is_object()) continue;
      if (message.value("method", "") == "exit") break;
      if (!message.contains("id")) continue;
      const int code = initialized ? not_initialized : request_failed;
      client_.send(error_response(message["id"], code, "hearth cannot start: " + reason));
      initialized = true;
    }
    drain(client_);
    throw Error(reason);
  }

  void say_farewell() {
    if (daemon_) drain(*daemon_);
    drain(client_);
  }

  static void drain(MessageStream& stream) {
    const auto deadline = Clock::now() + farewell_patience;
    while (stream.unsent() > 0 && Clock::now() < deadline) {
      pollfd poller{stream.out(), POLLOUT, 0};
      if (::poll(&poller, 1, 100) > 0 && !stream.flush()) return;
    }
  }

  const Paths& paths_;
  const std::vector<std::string>& arguments_;
  MessageStream client_;
  std::optional<MessageStream> daemon_;
  Relay relay_;
  std::vector<Clock::time_point> restarts_;
};

}  // namespace

int forward(const Paths& paths, const std::vector<std::string>& arguments, int in, int out) {
  ::signal(SIGPIPE, SIG_IGN);
  return Forwarder(paths, arguments, in, out).run();
}

}  // namespace hearth::daemon
