// Messages in and out of one session.
#include "lsp/rpc.hpp"

#include <algorithm>
#include <utility>

namespace hearth::lsp {
namespace {

// Values are copied and destroyed recursively: what is nested deeper than any client nests would
// end the process by its stack.
constexpr std::size_t max_nesting = 200;

std::size_t nesting(std::string_view json) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

// The code unit that a \uXXXX at `at` stands for.
std::optional<unsigned> escaped_unit(std::string_view json, std::size_t at) {
  if (at + 6 > json.size() || json[at] != '\\' || json[at + 1] != 'u') return std::nullopt;
  unsigned unit = 0;
  for (const char c : json.substr(at + 2, 4)) {
    const bool digit = c >= '0' && c <= '9';
    const char lower = static_cast<char>(c | 0x20);
    if (!digit && (lower < 'a' || lower > 'f')) return std::nullopt;
    unit = unit * 16 + static_cast<unsigned>(digit ? c - '0' : lower - 'a' + 10);
  }
  return unit;
}

// Editors that keep text in UTF-16 may send half a surrogate pair as an escape, which is no JSON;
// refusing the message would lose an edit. U+FFFD counts as many units.
void replace_lone_surrogates(std::string& json) {
  for (std::size_t at = 0; at < json.size(); ++at) {
    if (json[at] != '\\') continue;
    const auto unit = escaped_unit(json, at);
    if (!unit) {
      ++at;  // another escape, of one character
      continue;
    }
    const bool high = *unit >= 0xD800 && *unit < 0xDC00;
    const bool low = *unit >= 0xDC00 && *unit < 0xE000;
    const auto next = high ? escaped_unit(json, at + 6) : std::nullopt;
    const bool pair = next && *next >= 0xDC00 && *next < 0xE000;
    if ((high && !pair) || low) json.replace(at + 2, 4, "FFFD");
    at += pair ? 11 : 5;
  }
}

std::string json_of(const Json& id) {
  return id.dump();
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
    if (std::exchange(answered, true)) return;
    stop = nullptr;
    if (const auto out = send.lock()) {
      Json message{{"jsonrpc", "2.0"}, {"id", id}};
      message[kind] = std::move(value);
      (*out)(message);
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
  requests_.emplace(std::move(method), std::move(handler));
}

void Rpc::on_notification(std::string method, NotificationHandler handler) {
  notifications_.emplace(std::move(method), std::move(handler));
}

void Rpc::receive(std::string body) {
  if (!is_valid_utf8(body)) {
    refuse(error_code::parse_error, "the message is not valid UTF-8");
    return;
  }
  if (nesting(body) > max_nesting) {
    refuse(error_code::invalid_request,
           "the message is nested deeper than " + std::to_string(max_nesting) + " levels");
    return;
  }
  Json message = Json::parse(body, nullptr, false);
  if (message.is_discarded()) {
    replace_lone_surrogates(body);
    try {
      message = Json::parse(body);
    } catch (const Json::parse_error& error) {
      refuse(error_code::parse_error,
             "the message is not valid JSON (at byte " + std::to_string(error.byte) + ")");
      return;
    }
  }
  dispatch(std::move(message));
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
  static const Json no_params = Json::object();
  const Json* params = find(message, "params");
  if (params == nullptr) params = &no_params;
  if (id == message.end()) {
    handle_notification(method->get<std::string>(), *params);
  } else if (id->is_number_integer() || id->is_string()) {
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
  if (!open_.emplace(json_of(id), state).second) {
    state->fail(error_code::invalid_request, "a request with this id is still open");
    return;
  }
  Reply reply(state);
  try {
    handler->second(params, reply);
  } catch (const InvalidParams& error) {
    state->fail(error_code::invalid_params, method + ": " + error.what());
  } catch (const std::exception& error) {
    state->fail(error_code::internal_error, method + ": " + error.what());
  }
}

void Rpc::handle_notification(const std::string& method, const Json& params) {
  if (guard_(method)) return;
  const auto handler = notifications_.find(method);
  if (handler == notifications_.end()) {
    host_.log(LogLevel::debug, "ignored notification " + method);
    return;
  }
  try {
    handler->second(params);
  } catch (const std::exception& error) {
    host_.log(LogLevel::warn, method + ": " + error.what());
  }
}

void Rpc::handle_response(Json message) {
  const Json& id = message["id"];
  const auto awaited =
      id.is_number_integer() ? awaited_.find(id.get<std::int64_t>()) : awaited_.end();
  if (awaited == awaited_.end()) {
    host_.log(LogLevel::debug, "a response to no request of ours");
    return;
  }
  const ResponseHandler handler = std::move(awaited->second);
  awaited_.erase(awaited);
  const Json* error = find(message, "error");
  if (error == nullptr) {
    const auto result = message.find("result");
    handler(result == message.end() ? Json() : std::move(*result));
    return;
  }
  const Json* code = find(*error, "code");
  const Json* text = find(*error, "message");
  handler(RpcError{
      code != nullptr && code->is_number_integer() ? code->get<int>() : 0,
      text != nullptr && text->is_string() ? text->get<std::string>() : "no reason given"});
}

void Rpc::cancel(const Json& params) {
  const auto found = open_.find(json_of(member(params, "id")));
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
