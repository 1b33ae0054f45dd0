// JSON-RPC for one session: which message goes to which handler, one reply per request, the
// protocol's errors. Knows no method but $/cancelRequest.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lsp/host.hpp"
#include "lsp/json.hpp"

namespace hearth::lsp {

namespace error_code {
inline constexpr int parse_error = -32700;
inline constexpr int invalid_request = -32600;
inline constexpr int method_not_found = -32601;
inline constexpr int invalid_params = -32602;
inline constexpr int internal_error = -32603;
inline constexpr int server_not_initialized = -32002;
inline constexpr int request_cancelled = -32800;
inline constexpr int request_failed = -32803;
}  // namespace error_code

struct RpcError {
  int code = 0;
  std::string message;
};

// The duty to answer one request. Whoever holds it answers once; one that is dropped unanswered
// answers with an internal error. Once the client has cancelled the request it is answered already,
// and what comes later is left out.
class Reply {
 public:
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&& other) noexcept;
  ~Reply();

  void result(Json value);
  void error(int code, std::string message);
  // Called if the client cancels the request before it is answered.
  void on_cancel(std::function<void()> stop);

 private:
  friend class Rpc;
  struct State;
  explicit Reply(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// All methods on the Host's thread. A handler answers at once, or moves the reply away and answers
// later; InvalidParams and other exceptions that it throws are answered for it.
class Rpc {
 public:
  using Send = std::function<void(const Json&)>;
  using RequestHandler = std::function<void(const Json& params, Reply& reply)>;
  using NotificationHandler = std::function<void(const Json& params)>;
  using ResponseHandler = std::function<void(const std::variant<Json, RpcError>&)>;
  // Whether a message may be handled now: an error refuses it (a notification silently).
  using Guard = std::function<std::optional<RpcError>(std::string_view method)>;

  Rpc(Host& host, Send send, Guard guard);
  // Nothing is sent from here on; requests still open stay unanswered.
  void close();

  void on_request(std::string method, RequestHandler handler);
  void on_notification(std::string method, NotificationHandler handler);

  // A message's body. Throws nothing: what is wrong with it is answered or logged.
  void receive(std::string body);

  void notify(std::string_view method, Json params);
  void request(std::string_view method, Json params, ResponseHandler handler);
  // What the server sends of its own accord waits for this (the client's `initialized`).
  void release();

 private:
  void dispatch(Json message);
  void handle_request(const std::string& method, const Json& params, const Json& id);
  void handle_notification(const std::string& method, const Json& params);
  void handle_response(Json message);
  void cancel(const Json& params);
  void refuse(int code, std::string message);  // an answer to what has no id
  void send_own(Json message);

  Host& host_;
  std::shared_ptr<Send> send_;  // replies hold it weakly
  Guard guard_;
  std::map<std::string, RequestHandler, std::less<>> requests_;
  std::map<std::string, NotificationHandler, std::less<>> notifications_;
  std::map<std::string, std::weak_ptr<Reply::State>> open_;  // by the id's JSON text
  std::map<std::int64_t, ResponseHandler> awaited_;
  std::int64_t last_id_ = 0;
  bool released_ = false;
  std::vector<Json> held_;
};

}  // namespace hearth::lsp
