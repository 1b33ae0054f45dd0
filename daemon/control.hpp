// What is said on a control connection behind its hello: requests of commands, and their answers.
//
//   → {"request": "status"}
//   ← {"result": {…}}  or  {"error": "a sentence"}
// Before these an answer may have pieces, objects with neither of the two:
//   ← {"progress": {…}}  …  {"text": "…"}
// "applyJob" of jobs that no editor shows leaves them as they are and answers with their change:
//   ← {"result": {"id": 7, "state": "waiting", "patch": "diff --git …", "folder": "/home/ada/p",
//                 "leftOut": [{"id": 8, "why": "a sentence"}]}}
// Requests are answered in turn, each with one result or error. Who asks again before that gives
// the earlier request up, and who closes the connection gives up all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "daemon/transport/listener.hpp"
#include "lsp/jobs/jobs.hpp"

namespace hearth::daemon {

// How one request is answered; on the Host's thread, copies are the same. Says nothing once the
// request was answered or given up.
class ControlReply {
 public:
  // `last`: a result or an error.
  using Say = std::function<void(const nlohmann::json& message, bool last)>;
  explicit ControlReply(Say say) : say_(std::move(say)) {}

  void piece(const nlohmann::json& piece) const { say_(piece, false); }
  void result(nlohmann::json result) const;
  void error(std::string_view sentence) const;

 private:
  Say say_;
};

// Whatever computes an answer that comes later; its destruction stops that. It lives for as long as
// somebody waits for the answer, or longer.
class ControlWork {
 public:
  virtual ~ControlWork() = default;
};

// What requests ask of the daemon itself.
struct ControlCalls {
  std::function<nlohmann::json()> status;
  std::function<void()> stop;  // later, once the answer is on its way
  std::function<void()> used;  // somebody needs the daemon's model now
  // Answers "forget"; throws Error.
  std::function<void(const nlohmann::json& message, const ControlReply& reply)> forget;
  // Opens or closes the door of `hearth serve`, and says how it is then (Door::status()); throws
  // Error.
  std::function<nlohmann::json(bool open)> door = {};
  // Takes the memory of GPUs, or gives it back, and says how it is then (gpu_json); throws Error.
  std::function<nlohmann::json(bool take)> gpu = {};
  // What the model runs on, for people.
  std::function<std::string()> device = [] { return std::string(); };
};

// The requests of all control connections. On the Host's thread; what it is given outlives it, and
// it outlives its peers.
class Control {
 public:
  // `completions`: of prompts that are filled in the middle; null: `model` does that too.
  Control(lsp::Host& host, lsp::Model& model, lsp::Jobs& jobs, ControlCalls calls,
          lsp::Model* completions = nullptr);

  // The handler of a new connection; `send` takes a message's body.
  std::unique_ptr<Peer> open(std::function<void(std::string)> send);

  // `message` is an object, its "request" text; `connection` is the number of the one that it came
  // on. Null where all is said. Throws Error, and lsp::InvalidParams, which say what is wrong.
  std::unique_ptr<ControlWork> handle(const nlohmann::json& message, std::uint64_t connection,
                                      const ControlReply& reply);

 private:
  const lsp::Job& requested_job(const nlohmann::json& message) const;
  // Throws Error where it cannot be done.
  void change(const nlohmann::json& message, bool (lsp::Jobs::*how)(lsp::JobId),
              const std::string& why_not, const ControlReply& reply);
  void apply(const nlohmann::json& message, const ControlReply& reply);
  void inspect(const lsp::Job& job, const ControlReply& reply);
  lsp::Model& model_for(const lsp::Prompt& prompt);

  lsp::Host& host_;
  lsp::Model& model_;
  lsp::Model& completions_;
  lsp::Jobs& jobs_;
  const ControlCalls calls_;
  std::uint64_t connections_ = 0;
};

}  // namespace hearth::daemon
