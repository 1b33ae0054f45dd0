// Where a server stands: looks for it, hears what requests come to, and looks again, with growing
// pauses. For the Host's thread; the looking is done on another.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "daemon/remote/remote_tokenizer.hpp"
#include "daemon/remote/request_threads.hpp"
#include "daemon/remote/server_address.hpp"
#include "daemon/remote/server_facts.hpp"
#include "lsp/support/host.hpp"

namespace hearth::daemon {

// looking: not reached yet. away: does not answer now. refused: answers, but serves nothing here:
// no key, another key, no such model.
enum class ServerState : std::uint8_t { looking, ready, away, refused };

// Before the next attempt, where the server asks for none: from a second to a minute.
std::chrono::milliseconds growing_pause(int attempt);

class ServerWatch : public std::enable_shared_from_this<ServerWatch> {
 public:
  struct Wanted {
    std::string model;                // empty: the first that there is
    std::filesystem::path tokenizer;  // empty: none is configured
  };

  // All outlive it. `changed`: the state or its sentence did.
  ServerWatch(lsp::Host& host, const ServerAddress& address, RequestThreads& threads, Wanted wanted,
              std::function<void()> changed);

  void look_now();
  // What it has may have changed: requests wait for a look at it.
  void look_again();
  // A request came to that.
  void set_back(const Setback& setback);
  void refuses_template_arguments() { facts_->takes_template_arguments = false; }
  void thinks() { facts_->thinks = true; }
  void hold();  // looks no more

  ServerState state() const { return state_; }
  const std::string& why() const { return why_; }  // a sentence; empty where it is ready
  // Of the last look that found it; null: none did.
  const ServerFacts* facts() const { return facts_ ? &*facts_ : nullptr; }
  const ServerFacts* ready() const { return state_ == ServerState::ready ? facts() : nullptr; }
  // Where prompts go as tokens, else null.
  std::shared_ptr<const RemoteTokenizer> tokenizer() const {
    return facts_ && facts_->token_ids ? tokenizer_ : nullptr;
  }

 private:
  // What a look at the server came to.
  struct Look {
    std::variant<ServerFacts, Setback> found;
    std::shared_ptr<const RemoteTokenizer> tokenizer;
    std::string unread;  // why the configured one cannot be read
  };
  static Look look(http::Client& client, const ServerAddress& address, const Wanted& wanted,
                   std::shared_ptr<const RemoteTokenizer> tokenizer);
  void looked(Look look);
  void look_later(std::chrono::milliseconds pause);
  void set_state(ServerState state, const std::string& why, const std::string& plain);

  lsp::Host& host_;
  const ServerAddress& address_;
  RequestThreads& threads_;
  const Wanted wanted_;
  const std::function<void()> changed_;
  ServerState state_ = ServerState::looking;
  std::string why_;
  std::optional<ServerFacts> facts_;
  std::shared_ptr<const RemoteTokenizer> tokenizer_;  // the configured one, once it was read
  bool looking_ = false;
  int failed_looks_ = 0;
  std::optional<lsp::Host::TimerId> next_look_;
  bool held_ = false;
};

}  // namespace hearth::daemon
