// SessionReplay: what one editor's session needs to be replayed.
#include "daemon/transport/session_replay.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "daemon/transport/control_protocol.hpp"
#include "lsp/protocol/client.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

using lsp::dump;
using Json = lsp::Json;

std::string notification(std::string_view method, Json params) {
  return dump({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
}

// Those that say something about the session.
enum class Method : std::uint8_t {
  initialize,
  initialized,
  shutdown,
  exit,
  did_open,
  did_change,
  did_close,
  did_change_folders,
  other
};
constexpr std::array<std::string_view, 8> methods{"initialize",
                                                  "initialized",
                                                  "shutdown",
                                                  "exit",
                                                  "textDocument/didOpen",
                                                  "textDocument/didChange",
                                                  "textDocument/didClose",
                                                  "workspace/didChangeWorkspaceFolders"};

Method known_method(std::string_view name) {
  return static_cast<Method>(std::ranges::find(methods, name) - methods.begin());
}

std::string method_of(const Json& message) {
  const auto found = message.find("method");
  return found != message.end() && found->is_string() ? found->get<std::string>() : "";
}

const Json& params_of(const Json& message) {
  static const Json none = Json::object();
  const auto found = message.find("params");
  return found == message.end() ? none : *found;
}

// Null where it is no JSON.
Json parsed(std::string& body) {
  try {
    return lsp::parse_json(body);
  } catch (const lsp::BadJson&) {
    return nullptr;
  }
}

// A daemon's request has an id that the client has not seen from an earlier one.
std::string mark(std::int64_t generation) {
  return "hearth-" + std::to_string(generation) + ":";
}

}  // namespace

std::string error_response(const Json& id, int code, const std::string& message) {
  return dump({{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", code}, {"message", message}}}});
}

std::string SessionReplay::from_client(std::string body) {
  Json message;
  try {
    message = lsp::parse_json(body);
  } catch (const lsp::BadJson& bad) {
    documents_.lost(*bad.begun, bad.what());
  }
  if (!message.is_object()) return body;  // the daemon says what is wrong with it
  const std::string method = method_of(message);
  if (method.empty())
    return message.contains("id") ? response_from_client(std::move(message)) : body;
  if (message.contains("id")) {
    request_from_client(method, message);
  } else {
    notification_from_client(
        method, message.contains("params") ? std::move(message["params"]) : Json::object(), body);
  }
  return body;
}

void SessionReplay::request_from_client(const std::string& method, const Json& message) {
  open_requests_[dump(message["id"])] = method;
  const Method known = known_method(method);
  if (known == Method::shutdown) shut_down_ = true;
  if (known != Method::initialize || initialize_) return;
  try {
    lsp::Client client = lsp::read_client(params_of(message));
    documents_ = DeferredDocuments(client.encoding);
    folders_ = std::move(client.folders);
    initialize_ = message;
  } catch (const lsp::InvalidParams&) {
    open_requests_[dump(message["id"])] = "an initialize that the daemon will refuse";
  }
}

void SessionReplay::notification_from_client(const std::string& method, Json params,
                                             std::string_view body) {
  try {
    switch (known_method(method)) {
      case Method::initialized:
        initialized_ = true;
        break;
      case Method::did_open:
        documents_.open(std::move(params));
        break;
      case Method::did_change:
        documents_.change(std::move(params), body);
        break;
      case Method::did_close:
        documents_.close(params);
        break;
      case Method::did_change_folders:
        lsp::change_folders(params, folders_);
        folders_changed_ = true;
        break;
      case Method::exit:
        exit_code_ = shut_down_ ? 0 : 1;
        break;
      case Method::initialize:
      case Method::shutdown:
      case Method::other:
        break;
    }
  } catch (const lsp::InvalidParams&) {
    // The daemon sees the same message and logs what is wrong with it.
  }
}

std::string SessionReplay::response_from_client(Json message) const {
  if (generation_ == 0) return dump(message);
  const std::string prefix = mark(generation_);
  const Json& id = message["id"];
  std::string text = id.is_string() ? id.get<std::string>() : "";
  if (!text.starts_with(prefix)) return {};  // to a daemon that is gone
  text.erase(0, prefix.size());
  message["id"] = parsed(text);
  return dump(message);
}

std::string SessionReplay::from_daemon(std::string body) {
  Json message = parsed(body);
  if (!message.is_object()) return {};
  const std::string method = method_of(message);
  const bool has_id = message.contains("id");
  if (method == shutdown_notice_method) {
    shutdown_announced_ = true;
    return {};
  }
  if (method.empty() && has_id) {
    const Json& id = message["id"];
    if (id == Json(mark(generation_))) return {};  // to the replayed initialize
    response_from_daemon(id);
    return body;
  }
  if (method == "$/progress") {
    const Json& params = params_of(message);
    const std::string token = dump(params.value("token", Json()));
    const auto kind = params.value("/value/kind"_json_pointer, std::string());
    if (kind == "begin") open_progress_.insert(token);
    if (kind == "end") open_progress_.erase(token);
  }
  if (!has_id || generation_ == 0) return body;
  message["id"] = mark(generation_) + dump(message["id"]);
  return dump(message);
}

void SessionReplay::response_from_daemon(const Json& id) {
  const auto found = open_requests_.find(dump(id));
  if (found == open_requests_.end()) return;
  if (known_method(found->second) == Method::initialize) initialize_answered_ = true;
  open_requests_.erase(found);
}

std::vector<std::string> SessionReplay::daemon_lost() {
  std::vector<std::string> to_client;
  std::map<std::string, std::string> kept;
  for (const auto& [id, method] : std::exchange(open_requests_, {})) {
    const Method known = known_method(method);
    if (known == Method::initialize) {
      kept[id] = method;  // the next daemon answers it
    } else if (known == Method::shutdown) {
      to_client.push_back(dump({{"jsonrpc", "2.0"}, {"id", Json::parse(id)}, {"result", nullptr}}));
    } else {
      to_client.push_back(error_response(Json::parse(id), lsp::error_code::request_failed,
                                         "hearth's daemon ended before it answered: ask again"));
    }
  }
  open_requests_ = std::move(kept);
  for (const auto& token : std::exchange(open_progress_, {})) {
    to_client.push_back(
        notification("$/progress", {{"token", Json::parse(token)}, {"value", {{"kind", "end"}}}}));
  }
  shutdown_announced_ = false;
  ++generation_;
  return to_client;
}

std::vector<std::string> SessionReplay::replay() {
  if (!initialize_) return {};
  Json initialize = *initialize_;
  if (initialize_answered_) initialize["id"] = mark(generation_);
  if (folders_changed_) {
    Json& folders = initialize["params"]["workspaceFolders"] = Json::array();
    for (const std::string& uri : folders_) folders.push_back({{"uri", uri}, {"name", uri}});
  }
  std::vector<std::string> messages{dump(initialize)};
  if (initialized_) messages.push_back(notification("initialized", Json::object()));
  const lsp::Documents& documents = documents_.current();
  for (const std::string& uri : documents_.uris()) {
    const auto document = documents.last_known(uri);
    messages.push_back(
        notification("textDocument/didOpen", {{"textDocument",
                                               {{"uri", uri},
                                                {"languageId", document->language_id},
                                                {"version", document->version},
                                                {"text", document->text->str()}}}}));
    // A change that cannot be applied, as there was one: that daemon has to know of it as well.
    if (documents.out_of_step(uri)) {
      messages.push_back(
          notification("textDocument/didChange", {{"textDocument", {{"uri", uri}}}}));
    }
  }
  return messages;
}

std::string SessionReplay::notice(const std::string& text) const {
  if (!initialize_answered_) return {};
  return notification("window/showMessage",
                      {{"type", lsp::message_type::warning}, {"message", text}});
}

std::optional<Json> SessionReplay::unanswered_initialize() const {
  if (!initialize_ || initialize_answered_) return std::nullopt;
  return (*initialize_)["id"];
}

std::optional<pid_t> SessionReplay::editor_process() const {
  if (!initialize_) return std::nullopt;
  const Json* id = lsp::find_path(*initialize_, {"params", "processId"});
  if (id == nullptr || !id->is_number()) return std::nullopt;
  const auto number = id->get<double>();
  const bool possible = number >= 1 && number <= std::numeric_limits<pid_t>::max();
  return possible ? std::optional(static_cast<pid_t>(number)) : std::nullopt;
}

}  // namespace hearth::daemon
