// The client's end of the daemon's socket: finding the user's daemon, starting one, asking it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/platform/error.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/transport/control_protocol.hpp"
#include "daemon/transport/stream.hpp"

namespace hearth::daemon {

struct Connected {
  MessageStream stream;
  Welcome welcome;
};

inline constexpr std::chrono::milliseconds answer_timeout{10'000};

// Empty when no daemon is at the socket. Throws Unreachable after `timeout`, Error when it
// refuses.
std::optional<Connected> connect(const Paths& paths, ConnectionKind kind,
                                 std::chrono::milliseconds timeout = answer_timeout);

// A process holds the daemon's lock, and it does not answer at the socket.
class Unreachable : public Error {
 public:
  Unreachable(const Paths& paths, pid_t process, bool listens);
  pid_t process() const { return process_; }  // 0: its number is not known
  bool listens() const { return listens_; }   // at the socket, where it says nothing

 private:
  pid_t process_;
  bool listens_;
};

// Empty when no daemon is there: the lock is free. One that is just starting or stopping is waited
// for. Throws Unreachable, or Error when it refuses.
std::optional<Connected> find_daemon(const Paths& paths, ConnectionKind kind,
                                     std::chrono::milliseconds timeout = answer_timeout);

// Finds the daemon, or starts one with `arguments` behind `hearth daemon`. A daemon of another
// build that nobody uses is asked to go first. Throws Error with the reason when none can be had.
Connected connect_or_start(const Paths& paths, ConnectionKind kind,
                           const std::vector<std::string>& arguments);

// One request on a control connection: {"request": NAME} → {"result": …} | {"error": "…"}; with
// the job's number as "id" where it is about one. Throws Error.
nlohmann::json ask(Connected& control, std::string_view request,
                   std::chrono::milliseconds timeout = answer_timeout);
nlohmann::json ask(Connected& control, std::string_view request, std::uint64_t job,
                   std::chrono::milliseconds timeout = answer_timeout);

// One request whose answer has pieces, such as "generate": hands each to `on_piece` as it comes,
// and returns the result, however long that takes. Empty: *interrupt became true, which is looked
// at 20 times a second; closing the connection then gives the request up. Throws Error, also where
// the daemon is gone before the end.
std::optional<nlohmann::json> follow(
    Connected& control, const nlohmann::json& message,
    const std::function<void(const nlohmann::json& piece)>& on_piece,
    const std::atomic<bool>* interrupt = nullptr);

// Asks the daemon to stop and waits until its process has ended. One that does not answer, or not
// end, is killed with `force`, and else an Error.
enum class Stopped : std::uint8_t { none, itself, by_force };
Stopped stop_daemon(const Paths& paths, bool force = false,
                    std::chrono::milliseconds timeout = answer_timeout);

}  // namespace hearth::daemon
