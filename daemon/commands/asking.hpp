// Asking the running daemon on behalf of a person, and printing what it says.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/transport/control_client.hpp"

namespace hearth::daemon {

void print(const std::string& text);

// Throws Error where none runs.
Connected running_daemon();

// An answer as JSON or as `show` lays it out; returns the exit code.
int show_answer(const nlohmann::json& answer, bool json,
                std::string (*show)(const nlohmann::json&));
int ask_and_show(const std::string& request, bool json, std::string (*show)(const nlohmann::json&));

}  // namespace hearth::daemon
