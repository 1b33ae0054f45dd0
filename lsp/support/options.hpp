// What the process decides about all sessions of the language server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "lsp/support/model.hpp"
#include "lsp/support/settings.hpp"

namespace hearth::lsp {

class ParseGuard;  // lsp/support/parse_guard.hpp

struct ServerOptions {
  std::string version;  // for serverInfo
  std::chrono::milliseconds inline_hold{
      10'000};  // inline.hold: how long an Automatic reply may wait
  std::int64_t inline_max_tokens = 64;
  std::int64_t answer_max_tokens = 512;
  std::int64_t thinking_budget = 2048;
  Settings settings;                  // of all sessions, until an editor says otherwise
  ParseGuard* parse_guard = nullptr;  // outlives the server and the host's background work
  // The user's own wording of an action, by the action's id; may be empty. Called on any thread,
  // whenever the action is chosen. Throws a std::exception that says which file cannot be read.
  std::function<std::optional<Wording>(const std::string& action)> user_wording;
};

}  // namespace hearth::lsp
