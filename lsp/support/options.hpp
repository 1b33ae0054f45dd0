// What the process decides about all sessions of the language server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lsp/support/model.hpp"
#include "lsp/support/settings.hpp"

namespace hearth::lsp {

class IndexPool;    // lsp/context/index_pool.hpp
class ParseGuard;   // lsp/support/parse_guard.hpp
class PromptTrust;  // lsp/support/prompt_trust.hpp

// What became of the inline completions of a session; no text of them is kept.
struct InlineCounts {
  std::uint64_t shown = 0;
  std::uint64_t accepted = 0;  // as the editor said
  std::uint64_t rejected = 0;  // replaced by another one before that

  InlineCounts& operator+=(const InlineCounts& more) {
    shown += more.shown;
    accepted += more.accepted;
    rejected += more.rejected;
    return *this;
  }
};

struct ServerOptions {
  std::string version;  // for serverInfo
  std::chrono::milliseconds inline_hold{
      10'000};  // inline.hold: how long an Automatic reply may wait
  // inline.debounce: how long an automatic request waits for the next keystroke; 0: not at all
  std::chrono::milliseconds inline_debounce{75};
  std::int64_t inline_max_tokens = 64;
  // inline.max_read: how long reading what is new at a keystroke may take
  std::chrono::milliseconds inline_max_read{1'000};
  InlineCounts* inline_counts = nullptr;  // is counted in; outlives the server
  // Where inline completions come from, for as long as the server lives; outlives it. Null: from
  // the model that everything comes from.
  Model* completion_model = nullptr;
  std::int64_t answer_max_tokens = 512;
  ThinkingMode thinking_mode = ThinkingMode::automatic;
  std::int64_t thinking_budget = 2048;
  Settings settings;                  // of all sessions, until an editor says otherwise
  ParseGuard* parse_guard = nullptr;  // outlives the server and the host's background work
  IndexPool* indexes = nullptr;       // that sessions share; outlives the server. Null: its own
  // The user's own wording of an action, by the action's id; may be empty. Called on any thread,
  // whenever the action is chosen. Throws a std::exception that says which file cannot be read.
  std::function<std::optional<Wording>(const std::string& action)> user_wording;
  // Of the prompts of repositories; null: none is ever used. Outlives the server and the host's
  // background work.
  PromptTrust* prompt_trust = nullptr;
  // For hearth/status: other machines, by name, that prompts are sent to.
  std::vector<std::string> sent_to = {};
  // For hearth/status: what is wrong with the process, each a sentence that says what to do.
  std::vector<std::string> notices = {};
};

}  // namespace hearth::lsp
