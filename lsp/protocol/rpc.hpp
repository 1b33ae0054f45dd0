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

#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/support/host.hpp"

namespace hearth::lsp {

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
  // May take out of the params what is large.
  using NotificationHandler = std::function<void(Json& params)>;
  // What could be read of a message that is no JSON, and why no more of it.
  using LossHandler = std::function<void(const Json& begun, const std::string& reason)>;
  using ResponseHandler = std::function<void(const std::variant<Json, RpcError>&)>;
  // Whether a message may be handled now: an error refuses it (a notification silently).
  using Guard = std::function<std::optional<RpcError>(std::string_view method)>;

  Rpc(Host& host, Send send, Guard guard);
  // Nothing is sent from here on; requests still open stay unanswered.
  void close();

  // In place of the handler that the method had.
  void on_request(std::string method, RequestHandler handler);
  // Of a method that has one: for another that leaves some requests to it.
  RequestHandler handler(const std::string& method) const { return requests_.at(method); }
  void on_notification(std::string method, NotificationHandler handler);
  void on_loss(LossHandler handler) { lost_ = std::move(handler); }

  // A message's body. What is wrong with it is answered or logged; only std::bad_alloc is thrown.
  void receive(std::string body);
  // The same in two parts, the first of which may run on any thread.
  using Parsed = std::variant<Json, BadJson>;
  static Parsed parse(std::string body);
  void take(Parsed message);

  void notify(std::string_view method, Json params);
  void request(std::string_view method, Json params, ResponseHandler handler);
  // What the server sends of its own accord waits for this (the client's `initialized`).
  void release();
  // Or for the next request that is accepted: there are clients that never say `initialized`.
  void release_with_request() { release_with_request_ = !released_; }

 private:
  void dispatch(Json message);
  void handle_request(const std::string& method, const Json& params, const Json& id);
  void handle_notification(const std::string& method, Json& params);
  void handle_response(Json message);
  void cancel(const Json& params);
  void refuse(int code, std::string message);  // an answer to what has no id
  void send_own(Json message);

  Host& host_;
  std::shared_ptr<Send> send_;  // replies hold it weakly
  Guard guard_;
  std::map<std::string, RequestHandler, std::less<>> requests_;
  std::map<std::string, NotificationHandler, std::less<>> notifications_;
  LossHandler lost_;
  std::map<std::string, std::weak_ptr<Reply::State>> open_;  // by key_of() its id
  std::map<std::int64_t, ResponseHandler> awaited_;
  std::int64_t last_id_ = 0;
  bool released_ = false;
  bool release_with_request_ = false;
  std::vector<Json> held_;
};

}  // namespace hearth::lsp
