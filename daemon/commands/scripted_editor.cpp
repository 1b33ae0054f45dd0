// An LSP client that waits for what it asked for.
#include "daemon/commands/scripted_editor.hpp"

#include "daemon/platform/error.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::daemon {

ScriptedEditor::ScriptedEditor(const std::vector<std::string>& command,
                               const std::map<std::string, std::string>& environment, bool quiet)
    : child_(command, environment, quiet), stream_(child_.from(), child_.to()) {}

void ScriptedEditor::notify(std::string_view method, Json params) {
  stream_.send(Json{{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}}.dump());
}

std::int64_t ScriptedEditor::begin(std::string_view method, Json params) {
  const std::int64_t id = ++last_id_;
  stream_.send(
      Json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}}
          .dump());
  return id;
}

ScriptedEditor::Json ScriptedEditor::wait(std::int64_t id) {
  until([&] { return responses_.contains(id); });
  return std::move(responses_.extract(id).mapped());
}

ScriptedEditor::Json ScriptedEditor::request(std::string_view method, Json params) {
  Json response = wait(begin(method, std::move(params)));
  if (response.contains("error")) {
    throw Error(std::string(method) + ": " + response["error"].value("message", "failed"));
  }
  return std::move(response["result"]);
}

void ScriptedEditor::until(const std::function<bool()>& met) {
  while (!met()) handle_one();
}

void ScriptedEditor::handle_one() {
  const auto body = stream_.receive(silence_allowed);
  if (!body) throw Error("the language server is gone or says nothing");
  Json message = Json::parse(*body);
  if (!message.contains("method")) {
    const auto id = message["id"].get<std::int64_t>();
    responses_[id] = std::move(message);
    return;
  }
  if (message.contains("id")) {
    const bool edit = message["method"] == "workspace/applyEdit";
    const Json result = edit ? Json{{"applied", true}} : Json(nullptr);
    stream_.send(Json{{"jsonrpc", "2.0"}, {"id", message["id"]}, {"result", result}}.dump());
    server_requests_.push_back(std::move(message));
    return;
  }
  if (on_notification) {
    on_notification(message["method"].get<std::string>(), message.value("params", Json::object()));
  }
}

ScriptedEditor::Json ScriptedEditor::initialize(Json capabilities, Json options) {
  Json result = request("initialize", {{"processId", nullptr},
                                       {"rootUri", nullptr},
                                       {"capabilities", std::move(capabilities)},
                                       {"initializationOptions", std::move(options)}});
  notify("initialized", Json::object());
  return result;
}

void ScriptedEditor::open(const std::string& uri, const std::string& language,
                          const std::string& text) {
  notify(
      "textDocument/didOpen",
      {{"textDocument", {{"uri", uri}, {"languageId", language}, {"version", 1}, {"text", text}}}});
}

void ScriptedEditor::change(const std::string& uri, std::int64_t version, const std::string& text) {
  notify("textDocument/didChange", {{"textDocument", {{"uri", uri}, {"version", version}}},
                                    {"contentChanges", {{{"text", text}}}}});
}

int ScriptedEditor::quit() {
  request("shutdown", nullptr);
  notify("exit", Json::object());
  child_.close_input();
  return child_.wait();
}

std::string StreamedAnswer::heard(std::string_view method, const lsp::Json& params) {
  const bool piece = method == lsp::extension::TextDelta::method;
  if (!piece && method != lsp::extension::JobStateParams::method) return {};
  std::string text = params.value("text", "");
  if (!piece) {  // all of it so far; in the end its Markdown, which may be other words
    if (!text.starts_with(text_)) return {};
    text.erase(0, text_.size());
  }
  text_ += text;
  return text;
}

}  // namespace hearth::daemon
