// The stdio proxy's loop.
#include "daemon/transport/stdio_proxy.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>

#include "daemon/platform/error.hpp"
#include "daemon/platform/fd.hpp"
#include "daemon/transport/control_client.hpp"
#include "daemon/transport/session_replay.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/protocol/message_size.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

// A daemon that goes so often in so short a time will go again.
constexpr std::size_t max_restarts = 5;
constexpr std::chrono::minutes restart_period{5};
// Beyond this the one side is read no further until the other has taken something.
constexpr std::size_t max_unsent = 16 * 1024 * 1024;
constexpr std::chrono::milliseconds drain_timeout{2'000};

class StdioProxy {
 public:
  StdioProxy(const Paths& paths, const std::vector<std::string>& arguments, int in, int out)
      : paths_(paths), arguments_(arguments), client_(in, out, lsp::refuse_if_too_large) {}

  int run() {
    try {
      daemon_.emplace(connect_or_start(paths_, ConnectionKind::lsp, arguments_).stream);
    } catch (const Error& error) {
      no_daemon_ = error.what();
    }
    while (!replay_.exit_code()) {
      if (!wait()) break;
    }
    drain_streams();
    if (no_daemon_) throw Error(*no_daemon_);
    return replay_.exit_code().value_or(0);
  }

 private:
  // One round of reading and writing whatever is ready. False: the editor is gone.
  bool wait() {
    enum { from_client, to_client, from_daemon, to_daemon, editor_ended, descriptors };
    const bool connected = daemon_.has_value();
    const bool daemon_takes = !connected || daemon_->unsent() < max_unsent;
    const bool client_takes = client_.unsent() < max_unsent;
    pollfd pollers[] = {{daemon_takes ? client_.in() : -1, POLLIN, 0},
                        {client_.unsent() > 0 ? client_.out() : -1, POLLOUT, 0},
                        {connected && client_takes ? daemon_->in() : -1, POLLIN, 0},
                        {connected && daemon_->unsent() > 0 ? daemon_->out() : -1, POLLOUT, 0},
                        {editor_.get(), POLLIN, 0}};
    if (::poll(pollers, descriptors, -1) < 0) return errno == EINTR;

    if (pollers[to_client].revents != 0 && !client_.flush()) return false;
    if (pollers[from_client].revents != 0) {
      const bool alive = client_.fill();
      if (!hand_on_from_client()) return false;
      watch_editor();
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
    return pollers[editor_ended].revents == 0;
  }

  // An editor may end while another process still holds its end of our stdio. One that cannot be
  // seen from here (in a container), or is another user's, says nothing about this session.
  void watch_editor() {
    if (watched_) return;
    const auto process = replay_.editor_process();
    if (!process) return;
    watched_ = true;
    // glibc 2.36 declares pidfd_open for C only.
    if (::kill(*process, 0) == 0) {
      editor_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, *process, 0)));
    }
  }

  // False once the editor has said `exit`.
  bool hand_on_from_client() {
    while (auto body = next_from_client()) {
      if (no_daemon_) {
        refuse(*body);
        if (replay_.exit_code()) return false;
        continue;
      }
      if (!daemon_ && !replay_.shut_down()) start_again();
      const std::string message = replay_.from_client(std::move(*body));
      if (!message.empty() && daemon_) daemon_->send(message);
      if (replay_.exit_code()) return false;
    }
    return true;
  }

  std::optional<std::string> next_from_client() {
    for (;;) {
      try {
        return client_.next();
      } catch (const lsp::MessageRefused& refused) {
        client_.send(refused.answer);
      }
    }
  }

  void hand_on_from_daemon() {
    while (auto body = daemon_->next()) {
      const std::string message = replay_.from_daemon(std::move(*body));
      if (!message.empty()) client_.send(message);
    }
  }

  void lose_daemon() {
    const bool asked_to_stop = replay_.shutdown_announced();
    daemon_.reset();
    for (const auto& message : replay_.daemon_lost()) client_.send(message);
    // One that was stopped stays away until the editor speaks again.
    if (!asked_to_stop && !replay_.shut_down()) start_again();
  }

  void start_again() {
    const auto now = Clock::now();
    std::erase_if(restarts_, [now](auto when) { return now - when > restart_period; });
    if (restarts_.size() >= max_restarts) {
      give_up("hearth's daemon ended " + std::to_string(max_restarts + 1) +
              " times in a short time; its log says why (`hearth status` names the file)");
    }
    restarts_.push_back(now);
    try {
      daemon_.emplace(connect_or_start(paths_, ConnectionKind::lsp, arguments_).stream);
    } catch (const Error& error) {
      give_up(std::string("hearth's daemon ended and cannot be started again: ") + error.what());
    }
    for (const auto& message : replay_.replay()) daemon_->send(message);
    const std::string notice = replay_.notice("hearth's daemon ended and was started again");
    if (!notice.empty()) client_.send(notice);
  }

  [[noreturn]] void give_up(const std::string& reason) {
    const std::string notice = replay_.notice(reason);
    if (!notice.empty()) client_.send(notice);
    if (const auto id = replay_.unanswered_initialize()) {
      client_.send(error_response(*id, lsp::error_code::request_failed, reason));
    }
    drain(client_);
    throw Error(reason);
  }

  // No daemon can be had: the editor is told in answer to its first request, and to every later
  // one.
  void refuse(const std::string& body) {
    lsp::Json message;
    try {
      message = lsp::parse_json(std::string(body));
    } catch (const lsp::BadJson&) {
      return;
    }
    if (!message.is_object()) return;
    const lsp::Json method = message.value("method", lsp::Json());
    if (method == "initialize" || method == "exit") replay_.from_client(body);
    if (!message.contains("id")) return;
    const std::string complaint = "hearth cannot start: " + *no_daemon_;
    if (method == "initialize" && asserts_initialize(message)) {
      begin_without_capabilities(message["id"], complaint);
    } else {
      client_.send(error_response(message["id"], refusal_code_, complaint));
      if (method == "initialize") refusal_code_ = lsp::error_code::server_not_initialized;
    }
  }

  // Neovim takes an error to `initialize` for one of its own and shows a stack trace.
  static bool asserts_initialize(const lsp::Json& initialize) {
    const lsp::Json* name = lsp::find_path(initialize, {"params", "clientInfo", "name"});
    return name != nullptr && *name == "Neovim";
  }

  void begin_without_capabilities(const lsp::Json& id, const std::string& complaint) {
    const lsp::Json result{{"capabilities", lsp::Json::object()},
                           {"serverInfo", {{"name", "hearth"}}}};
    client_.send(lsp::Json{{"jsonrpc", "2.0"}, {"id", id}, {"result", result}}.dump());
    const lsp::Json shown{{"type", lsp::message_type::error}, {"message", complaint}};
    client_.send(
        lsp::Json{{"jsonrpc", "2.0"}, {"method", "window/showMessage"}, {"params", shown}}.dump());
  }

  void drain_streams() {
    if (daemon_) drain(*daemon_);
    drain(client_);
  }

  static void drain(MessageStream& stream) {
    const auto deadline = Clock::now() + drain_timeout;
    while (stream.unsent() > 0 && Clock::now() < deadline) {
      pollfd poller{stream.out(), POLLOUT, 0};
      if (::poll(&poller, 1, 100) > 0 && !stream.flush()) return;
    }
  }

  const Paths& paths_;
  const std::vector<std::string>& arguments_;
  MessageStream client_;
  Fd editor_;  // of its process, if that can be watched; readable once it has ended
  bool watched_ = false;
  std::optional<MessageStream> daemon_;
  std::optional<std::string> no_daemon_;                // why there was none at the start
  int refusal_code_ = lsp::error_code::request_failed;  // of what is answered then
  SessionReplay replay_;
  std::vector<Clock::time_point> restarts_;
};

}  // namespace

int run_stdio_proxy(const Paths& paths, const std::vector<std::string>& arguments, int in,
                    int out) {
  ::signal(SIGPIPE, SIG_IGN);
  return StdioProxy(paths, arguments, in, out).run();
}

}  // namespace hearth::daemon
