// The client's end of the daemon's socket: finding the user's daemon, starting one, asking it.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/paths.hpp"
#include "daemon/protocol.hpp"
#include "daemon/stream.hpp"

namespace hearth::daemon {

struct Connected {
  MessageStream stream;
  Welcome welcome;
};

// Empty when no daemon is there. Throws Error when it refuses or does not answer.
std::optional<Connected> connect(const Paths& paths, ConnectionKind kind);

// Finds the daemon, or starts one with `arguments` behind `hearth daemon`. A daemon of another
// build that nobody uses is asked to go first. Throws Error with the reason when none can be had.
Connected connect_or_start(const Paths& paths, ConnectionKind kind,
                           const std::vector<std::string>& arguments);

// One request on a control connection: {"request": NAME} → {"result": …} | {"error": "…"}.
// Throws Error.
nlohmann::json ask(Connected& control, const std::string& request);

// Asks the daemon to stop and waits until its process has ended. False when none was there.
bool stop_daemon(const Paths& paths);

}  // namespace hearth::daemon
