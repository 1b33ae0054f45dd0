// Messages in and out of one session.
#include "lsp/protocol/rpc.hpp"

#include <cmath>
#include <utility>

#include "lsp/protocol/json_text.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::lsp {
namespace {

// Clients whose numbers are all floats write ids as 3.0.
std::optional<std::int64_t> whole_number(const Json& id) {
  constexpr double max = 9e15;  // beyond it not every whole number is one of a double
  if (id.is_number_integer()) return id.get<std::int64_t>();
  if (!id.is_number_float()) return std::nullopt;
  const auto number = id.get<double>();
  if (std::floor(number) != number || std::abs(number) > max) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

// By which a request is found again: 3 and 3.0 are the same.
std::string key_of(const Json& id) {
  const auto number = whole_number(id);
  return number && id.is_number_float() ? std::to_string(*number) : id.dump();
}

}  // namespace

struct Reply::State {
  State(Json request_id, std::weak_ptr<Rpc::Send> out)
      : id(std::move(request_id)), send(std::move(out)) {}

  Json id;
  std::weak_ptr<Rpc::Send> send;
  bool answered = false;
  std::function<void()> stop;

  void answer(const char* kind, Json value) {
    if (answered) return;
    const auto out = send.lock();
    Json message;
    if (out) {
      message = {{"jsonrpc", "2.0"}, {"id", id}};
      message[kind] = std::move(value);
    }
    answered = true;
    stop = nullptr;
    if (!out) return;
    try {
      (*out)(message);
    } catch (...) {
      answered = false;  // where this answer has no memory, a shorter one may have
      throw;
    }
  }
  void fail(int code, std::string text) {
    answer("error", {{"code", code}, {"message", std::move(text)}});
  }
};

Reply& Reply::operator=(Reply&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Reply::~Reply() {
  if (!state_) return;
  try {
    state_->fail(error_code::internal_error, "the server dropped this request");
  } catch (...) {
    // Nothing can be sent any more, so nobody waits for it.
  }
}

void Reply::result(Json value) {
  state_->answer("result", std::move(value));
}

void Reply::error(int code, std::string message) {
  state_->fail(code, std::move(message));
}

void Reply::on_cancel(std::function<void()> stop) {
  state_->stop = std::move(stop);
}

Rpc::Rpc(Host& host, Send send, Guard guard)
    : host_(host), send_(std::make_shared<Send>(std::move(send))), guard_(std::move(guard)) {
  on_notification("$/cancelRequest", [this](const Json& params) { cancel(params); });
}

void Rpc::close() {
  *send_ = [](const Json&) {};
}

void Rpc::on_request(std::string method, RequestHandler handler) {
  requests_.insert_or_assign(std::move(method), std::move(handler));
}

void Rpc::on_notification(std::string method, NotificationHandler handler) {
  notifications_.emplace(std::move(method), std::move(handler));
}

Rpc::Parsed Rpc::parse(std::string body) {
  try {
    return parse_json(body);
  } catch (BadJson& bad) {
    return std::move(bad);
  } catch (const std::exception& error) {
    return BadJson(BadJson::Kind::not_json,
                   std::string("the message cannot be read: ") + error.what(), nullptr);
  }
}

void Rpc::receive(std::string body) {
  take(parse(std::move(body)));
}

void Rpc::take(Parsed message) {
  if (const auto* bad = std::get_if<BadJson>(&message)) {
    if (lost_) lost_(*bad->begun, bad->what());
    refuse(bad->kind == BadJson::Kind::too_much ? error_code::invalid_request
                                                : error_code::parse_error,
           bad->what());
    return;
  }
  dispatch(std::move(std::get<Json>(message)));
}

void Rpc::dispatch(Json message) {
  if (message.is_array()) {
    refuse(error_code::invalid_request, "batches are not part of LSP: send one message at a time");
    return;
  }
  const Json* version = find(message, "jsonrpc");
  if (version == nullptr || *version != "2.0") {
    refuse(error_code::invalid_request, "a message is an object with \"jsonrpc\": \"2.0\"");
    return;
  }
  const auto method = message.find("method");
  const auto id = message.find("id");
  if (method == message.end() && id != message.end()) {
    handle_response(std::move(message));
    return;
  }
  if (method == message.end() || !method->is_string()) {
    refuse(error_code::invalid_request, "\"method\" is not a string");
    return;
  }
  Json none = Json::object();
  const auto found = message.find("params");
  Json* params = found == message.end() || found->is_null() ? &none : &*found;
  if (id == message.end()) {
    handle_notification(method->get<std::string>(), *params);
  } else if (whole_number(*id) || id->is_string()) {
    handle_request(method->get<std::string>(), *params, *id);
  } else {
    refuse(error_code::invalid_request, "\"id\" is neither an integer nor a string");
  }
}

void Rpc::handle_request(const std::string& method, const Json& params, const Json& id) {
  std::erase_if(open_, [](const auto& entry) {
    const auto state = entry.second.lock();
    return !state || state->answered;
  });
  const auto state = std::make_shared<Reply::State>(id, send_);
  if (const auto refusal = guard_(method)) {
    state->fail(refusal->code, refusal->message);
    return;
  }
  const auto handler = requests_.find(method);
  if (handler == requests_.end()) {
    state->fail(error_code::method_not_found, "no such method: " + method);
    return;
  }
  if (!open_.emplace(key_of(id), state).second) {
    state->fail(error_code::invalid_request, "a request with this id is still open");
    return;
  }
  if (std::exchange(release_with_request_, false)) release();
  Reply reply(state);
  try {
    handler->second(params, reply);
  } catch (const InvalidParams& error) {
    state->fail(error_code::invalid_params, method + ": " + error.what());
  } catch (const CannotServe& reason) {
    reason.known ? state->answer("result", nullptr)
                 : state->fail(error_code::request_failed, reason.what());
  } catch (const std::exception& error) {
    state->fail(error_code::internal_error, method + ": " + failure_text(error));
  }
}

void Rpc::handle_notification(const std::string& method, Json& params) {
  if (guard_(method)) return;
  const auto handler = notifications_.find(method);
  if (handler == notifications_.end()) {
    host_.log(LogLevel::debug, "ignored a notification of an unknown method");
    host_.log(LogLevel::trace, "the unknown method is " + method);
    return;
  }
  try {
    handler->second(params);
  } catch (const InvalidParams& error) {
    host_.log(LogLevel::warn, method + ": " + error.without_value());
  } catch (const std::exception& error) {
    // What others say of it may quote the message.
    host_.log(LogLevel::warn, method + ": could not be handled");
    host_.log(LogLevel::trace, error.what());
  }
}

void Rpc::handle_response(Json message) {
  const auto id = whole_number(message["id"]);
  const auto awaited = id ? awaited_.find(*id) : awaited_.end();
  if (awaited == awaited_.end()) {
    host_.log(LogLevel::debug, "a response to no request of ours");
    return;
  }
  const ResponseHandler handler = std::move(awaited->second);
  awaited_.erase(awaited);
  std::variant<Json, RpcError> answer;
  if (const Json* error = find(message, "error")) {
    const Json* code = find(*error, "code");
    const Json* text = find(*error, "message");
    answer = RpcError{
        code != nullptr && code->is_number_integer() ? code->get<int>() : 0,
        text != nullptr && text->is_string() ? text->get<std::string>() : "no reason given"};
  } else if (const auto result = message.find("result"); result != message.end()) {
    answer = std::move(*result);
  }
  try {
    handler(answer);
  } catch (const std::exception& failed) {
    host_.log(LogLevel::warn, "a response could not be handled");
    host_.log(LogLevel::trace, failed.what());
  }
}

void Rpc::cancel(const Json& params) {
  const auto found = open_.find(key_of(member(params, "id")));
  const auto state = found == open_.end() ? nullptr : found->second.lock();
  if (!state || state->answered) return;  // too late, or never there: nothing to do
  const std::function<void()> stop = std::move(state->stop);
  state->fail(error_code::request_cancelled, "the client cancelled this request");
  if (stop) stop();
}

void Rpc::refuse(int code, std::string message) {
  host_.log(LogLevel::warn, message);
  (*send_)({{"jsonrpc", "2.0"},
            {"id", nullptr},
            {"error", {{"code", code}, {"message", std::move(message)}}}});
}

void Rpc::notify(std::string_view method, Json params) {
  send_own({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
}

void Rpc::request(std::string_view method, Json params, ResponseHandler handler) {
  awaited_.emplace(++last_id_, std::move(handler));
  send_own(
      {{"jsonrpc", "2.0"}, {"id", last_id_}, {"method", method}, {"params", std::move(params)}});
}

void Rpc::release() {
  released_ = true;
  for (const Json& message : std::exchange(held_, {})) (*send_)(message);
}

void Rpc::send_own(Json message) {
  if (released_) {
    (*send_)(message);
  } else {
    held_.push_back(std::move(message));
  }
}

}  // namespace hearth::lsp
