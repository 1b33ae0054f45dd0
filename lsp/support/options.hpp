// What the process decides about all sessions of the language server.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace hearth::lsp {

class ParseGuard;  // lsp/support/parse_guard.hpp

struct ServerOptions {
  std::string version;  // for serverInfo
  std::chrono::milliseconds inline_hold{
      10'000};  // inline.hold: how long an Automatic reply may wait
  std::int64_t inline_max_tokens = 64;
  std::int64_t answer_max_tokens = 512;
  std::int64_t thinking_budget = 2048;
  ParseGuard* parse_guard = nullptr;  // outlives the server and the host's background work
};

}  // namespace hearth::lsp
