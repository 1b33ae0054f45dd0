// What an editor is sent of an effect's edits, and what it is told where nothing can be sent.
#include "lsp/actions/edits.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/jobs/memory_store.hpp"
#include "lsp/session.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;

const std::string uri = "file:///a.py";
const std::vector<FileEdit> edits{{uri, 1, {{{{4}, {6}}, "b"}, {{{9}, {10}}, "2"}}}};

struct Editor {
  VirtualHost host;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  std::vector<json> sent;
  Rpc rpc{host, [this](const json& message) { sent.push_back(message); },
          [](std::string_view) { return std::nullopt; }};
  ServerOptions options;
  EditorSession session;

  explicit Editor(const json& workspace)
      : session(host, model, jobs, rpc, options,
                read_client({{"capabilities", {{"workspace", workspace}}}})) {
    rpc.release();
    session.documents.open(
        {{"textDocument",
          {{"uri", uri}, {"languageId", "python"}, {"version", 1}, {"text", "x = é = 1\n"}}}});
  }
  void apply(const std::vector<FileEdit>& all) {
    apply_edits(
        session.shown, "Rename", all,
        [this](const std::string& asked) { return session.documents.find(asked); },
        [this](const std::string& failure) { failures.push_back(failure); });
  }
  std::vector<std::string> failures;  // empty where it was applied
};

const json everything = {
    {"applyEdit", true},
    {"workspaceEdit", {{"documentChanges", true}, {"changeAnnotationSupport", json::object()}}}};

}  // namespace

TEST_CASE("edits are sent with their version and positions, to be confirmed where that is known") {
  Editor editor(everything);
  editor.apply(edits);
  REQUIRE(editor.sent.size() == 1);
  CHECK(editor.sent[0]["method"] == "workspace/applyEdit");
  const json& params = editor.sent[0]["params"];
  CHECK(params["label"] == "Rename");
  const json& file = params["edit"]["documentChanges"][0];
  CHECK(file["textDocument"] == json{{"uri", uri}, {"version", 1}});
  CHECK(file["edits"][0]["newText"] == "b");
  CHECK(file["edits"][0]["range"]["start"]["character"] == 4);
  CHECK(file["edits"][0]["range"]["end"]["character"] == 5);  // é has two bytes
  CHECK(file["edits"][1]["range"]["start"]["character"] == 8);
  CHECK(params["edit"]["changeAnnotations"]["hearth"]["needsConfirmation"] == true);
  CHECK(file["edits"][0]["annotationId"] == "hearth");
  CHECK(editor.sent.size() == 1);
}

TEST_CASE("an editor without versions gets no edits") {
  Editor editor(json{{"applyEdit", true}});
  CHECK_FALSE(takes_edits(editor.session.client));
  editor.apply(edits);
  CHECK(editor.sent.empty());
  CHECK(editor.failures ==
        std::vector<std::string>{"the editor takes no edits for a certain version of a file"});
}

TEST_CASE("the repository itself and what editors run are never changed") {
  for (const char* off_limits : {"file:///p/.git/config", "file:///p/.vscode/tasks.json",
                                 "file:///p/.editorconfig", "file:///p/.gitattributes"}) {
    Editor editor(everything);
    editor.session.documents.open(
        {{"textDocument",
          {{"uri", off_limits}, {"languageId", "json"}, {"version", 1}, {"text", "{}\n"}}}});
    editor.apply({{off_limits, 1, {{{{0}, {1}}, "["}}}});
    CHECK(editor.sent.empty());
    CHECK(editor.failures.at(0).find("a file that hearth never changes") != std::string::npos);
  }
}

TEST_CASE("what keeps edits from being applied is told, and nothing is changed") {
  SUBCASE("an editor that takes none") {
    Editor editor(json::object());
    editor.apply(edits);
    CHECK(editor.failures ==
          std::vector<std::string>{"the editor takes no edits for a certain version of a file"});
  }
  SUBCASE("a document that has changed since") {
    Editor editor(everything);
    editor.session.documents.change({{"textDocument", {{"uri", uri}, {"version", 2}}},
                                     {"contentChanges", json::array({{{"text", "y\n"}}})}});
    editor.apply(edits);
    CHECK(editor.sent.empty());
    CHECK(editor.failures == std::vector<std::string>{"a.py has changed since"});
  }
  SUBCASE("a document that was closed") {
    Editor editor(everything);
    editor.session.documents.close({{"textDocument", {{"uri", uri}}}});
    editor.apply(edits);
    CHECK(editor.failures == std::vector<std::string>{"a.py is not open any more"});
  }
  SUBCASE("an editor that refuses, with its reason or without") {
    Editor editor(everything);
    editor.apply(edits);
    const json id = editor.sent.at(0)["id"];
    editor.rpc.receive(json{{"jsonrpc", "2.0"},
                            {"id", id},
                            {"result", {{"applied", false}, {"failureReason", "read-only"}}}}
                           .dump());
    CHECK(editor.failures == std::vector<std::string>{"read-only"});
  }
  SUBCASE("an editor that fails") {
    Editor editor(everything);
    editor.apply(edits);
    const json id = editor.sent.at(0)["id"];
    editor.rpc.receive(
        json{{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", -1}, {"message", "no"}}}}.dump());
    CHECK(editor.failures == std::vector<std::string>{"no"});
  }
  SUBCASE("not where they were applied") {
    Editor editor(everything);
    editor.apply(edits);
    const json id = editor.sent.at(0)["id"];
    editor.rpc.receive(
        json{{"jsonrpc", "2.0"}, {"id", id}, {"result", {{"applied", true}}}}.dump());
    CHECK(editor.failures == std::vector<std::string>{""});
  }
}

}  // namespace hearth::lsp::test
