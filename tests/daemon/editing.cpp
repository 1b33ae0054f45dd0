// Requests as JSON.
#include "tests/daemon/editing.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace hearth::tests {
namespace {

Json first_lines(int lines) {
  return {{"start", {{"line", 0}, {"character", 0}}}, {"end", {{"line", lines}, {"character", 0}}}};
}

}  // namespace

Json explain_command(const std::string& uri, int lines) {
  return {{"command", "hearth.server.explain"},
          {"arguments", {{{"uri", uri}, {"range", first_lines(lines)}}}}};
}

Json completion_at(int line, int character) {
  return {{"textDocument", {{"uri", stats_uri}}},
          {"position", {{"line", line}, {"character", character}}},
          {"context", {{"triggerKind", 1}}}};
}

Json actions(daemon::ScriptedEditor& editor, const std::string& uri, int lines) {
  return editor.request("textDocument/codeAction",
                        {{"textDocument", {{"uri", uri}}},
                         {"range", first_lines(lines)},
                         {"context", {{"diagnostics", Json::array()}, {"triggerKind", 1}}}});
}

void explain_into_a_file(const Home& home, const std::string& text) {
  auto editor = home.editor(true);
  bool told = false;
  editor.on_notification = [&](const std::string& method, const Json& params) {
    told = told || (method == "window/showMessage" &&
                    params["message"].get<std::string>().find("also in") != std::string::npos);
  };
  editor.initialize(Json::object(), nullptr);
  editor.open(stats_uri, "python", text);
  editor.request("workspace/executeCommand", explain_command(stats_uri, 5));
  editor.until([&] { return told; });
  CHECK(editor.quit() == 0);
}

Messages::Messages(daemon::ScriptedEditor& editor) {
  editor.on_notification = [this](const std::string& method, const Json& params) {
    if (method == "window/showMessage") shown.push_back(params["message"].get<std::string>());
  };
}

std::size_t Messages::with(const std::string& words) const {
  return static_cast<std::size_t>(std::count_if(
      shown.begin(), shown.end(),
      [&](const std::string& message) { return message.find(words) != std::string::npos; }));
}

}  // namespace hearth::tests
