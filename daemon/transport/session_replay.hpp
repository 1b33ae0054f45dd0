// What the stdio proxy must remember of one editor's session so that a daemon can go and another
// take its place: the initialize request, the workspace's folders, the current documents, what is
// still to be answered. Pure: messages in, messages out; sockets and processes are
// stdio_proxy.cpp's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/transport/deferred_documents.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {

class SessionReplay {
 public:
  using Json = lsp::Json;

  // Each takes a message's body and returns what is to be handed on; empty: nothing.
  std::string from_client(std::string body);
  std::string from_daemon(std::string body);

  // The daemon is gone. What the client is told: its open requests have failed, progress has ended.
  std::vector<std::string> daemon_lost();
  // What the next daemon is told first.
  std::vector<std::string> replay();
  // For the client, once the next daemon is there; empty where it may not be told anything.
  std::string notice(const std::string& text) const;

  // The client asked for the end: no other daemon is needed.
  bool shut_down() const { return shut_down_; }
  bool shutdown_announced() const { return shutdown_announced_; }
  // Set once `exit` came: what the language server's process would end with.
  std::optional<int> exit_code() const { return exit_code_; }
  // The client's `initialize`, as long as it is unanswered: its id.
  std::optional<Json> unanswered_initialize() const;
  // The editor's process, where its `initialize` names one.
  std::optional<pid_t> editor_process() const;

 private:
  void request_from_client(const std::string& method, const Json& message);
  void notification_from_client(const std::string& method, Json params, std::string_view body);
  std::string response_from_client(Json message) const;
  void response_from_daemon(const Json& id);
  std::string marked(const Json& id) const;

  std::optional<Json> initialize_;
  bool initialize_answered_ = false;
  bool initialized_ = false;
  bool shut_down_ = false;
  bool shutdown_announced_ = false;
  std::optional<int> exit_code_;
  std::map<std::string, std::string> open_requests_;  // id's JSON text → method
  std::set<std::string> open_progress_;               // tokens' JSON text
  DeferredDocuments documents_{lsp::Encoding::utf16};
  std::vector<std::string> folders_;  // of the workspace, by URI
  bool folders_changed_ = false;      // since `initialize`
  // How many daemons came before. The ids of a later one's requests are marked with it: the client
  // may still answer the same id of an earlier one.
  std::int64_t generation_ = 0;
};

// A response with an error, ready to be sent.
std::string error_response(const lsp::Json& id, int code, const std::string& message);

}  // namespace hearth::daemon
