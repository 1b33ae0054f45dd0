// An editor without a screen: speaks LSP over `hearth lsp` as its child. For the demonstration,
// the tests and the latency measurements.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/platform/spawn.hpp"
#include "daemon/transport/stream.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {

class ScriptedEditor {
 public:
  using Json = lsp::Json;
  static constexpr std::chrono::milliseconds timeout{120'000};

  ScriptedEditor(const std::vector<std::string>& command,
                 const std::map<std::string, std::string>& environment, bool quiet = false);

  void notify(std::string_view method, Json params);
  // The request's id; wait() for its answer, in any order.
  std::int64_t begin(std::string_view method, Json params);
  // The whole response. Throws Error when the server is gone or says nothing for too long.
  Json wait(std::int64_t id);
  // begin, wait, and the result; Error where the response is one.
  Json request(std::string_view method, Json params);
  // Handles messages until `met`. Throws Error as wait does.
  void until(const std::function<bool()>& met);
  void send_raw(std::string_view body) { stream_.send(body); }

  // `initialize` with these capabilities and options, and `initialized`. Returns the result.
  Json initialize(Json capabilities, Json options);
  void open(const std::string& uri, const std::string& language, const std::string& text);
  // The whole text anew.
  void change(const std::string& uri, std::int64_t version, const std::string& text);
  // `shutdown` and `exit`. Returns the server's exit code.
  int quit();

  // Called for each while waiting. Requests of the server are answered with null, edits as applied,
  // and listed.
  std::function<void(const std::string& method, const Json& params)> on_notification;
  const std::vector<Json>& server_requests() const { return server_requests_; }
  Child& process() { return child_; }
  std::chrono::milliseconds silence_allowed = timeout;  // with a server that says nothing

 private:
  void handle_one();

  Child child_;
  MessageStream stream_;
  std::int64_t last_id_ = 0;
  std::map<std::int64_t, Json> responses_;
  std::vector<Json> server_requests_;
};

// The answer of a job, for an editor that asked for one alone: it comes in pieces, and what was
// written before the first of them comes with the job's state.
class StreamedAnswer {
 public:
  // What a notification adds to it; empty: nothing.
  std::string heard(std::string_view method, const lsp::Json& params);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace hearth::daemon
