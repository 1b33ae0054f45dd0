// What an editor is sent of an effect's edits, and what it is told where nothing can be sent.
#include "lsp/actions/edits.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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
  Jobs jobs{host, model};
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
  std::string told() const {
    return sent.back()["method"] == "window/showMessage"
               ? sent.back()["params"]["message"].get<std::string>()
               : "";
  }
};

const json everything = {
    {"applyEdit", true},
    {"workspaceEdit", {{"documentChanges", true}, {"changeAnnotationSupport", json::object()}}}};

}  // namespace

TEST_CASE("edits are sent with their version and positions, to be confirmed where that is known") {
  Editor editor(everything);
  apply_edits(editor.session.shown, "Rename", edits);
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
  apply_edits(editor.session.shown, "Rename", {});
  CHECK(editor.sent.size() == 1);
}

TEST_CASE("an editor without versions gets edits without them") {
  Editor editor(json{{"applyEdit", true}});
  apply_edits(editor.session.shown, "Rename", edits);
  const json& edit = editor.sent.at(0)["params"]["edit"];
  CHECK(edit.size() == 1);
  CHECK(edit["changes"][uri].size() == 2);
  CHECK_FALSE(edit["changes"][uri][0].contains("annotationId"));
}

TEST_CASE("what keeps edits from being applied is told, and nothing is changed") {
  SUBCASE("an editor that takes none") {
    Editor editor(json::object());
    apply_edits(editor.session.shown, "Rename", edits);
    CHECK(editor.told() == "Rename: nothing was changed: the editor takes no edits");
  }
  SUBCASE("a document that has changed since") {
    Editor editor(everything);
    editor.session.documents.change({{"textDocument", {{"uri", uri}, {"version", 2}}},
                                     {"contentChanges", json::array({{{"text", "y\n"}}})}});
    apply_edits(editor.session.shown, "Rename", edits);
    CHECK(editor.sent.size() == 1);
    CHECK(editor.told() == "Rename: nothing was changed: a.py has changed since");
  }
  SUBCASE("a document that was closed") {
    Editor editor(everything);
    editor.session.documents.close({{"textDocument", {{"uri", uri}}}});
    apply_edits(editor.session.shown, "Rename", edits);
    CHECK(editor.told() == "Rename: nothing was changed: a.py is not open any more");
  }
  SUBCASE("an editor that refuses, with its reason or without") {
    Editor editor(everything);
    apply_edits(editor.session.shown, "Rename", edits);
    const json id = editor.sent.at(0)["id"];
    editor.rpc.receive(json{{"jsonrpc", "2.0"},
                            {"id", id},
                            {"result", {{"applied", false}, {"failureReason", "read-only"}}}}
                           .dump());
    CHECK(editor.told() == "Rename: nothing was changed: read-only");
  }
  SUBCASE("an editor that fails") {
    Editor editor(everything);
    apply_edits(editor.session.shown, "Rename", edits);
    const json id = editor.sent.at(0)["id"];
    editor.rpc.receive(
        json{{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", -1}, {"message", "no"}}}}.dump());
    CHECK(editor.told() == "Rename: nothing was changed: no");
  }
  SUBCASE("not where they were applied") {
    Editor editor(everything);
    apply_edits(editor.session.shown, "Rename", edits);
    const json id = editor.sent.at(0)["id"];
    editor.rpc.receive(
        json{{"jsonrpc", "2.0"}, {"id", id}, {"result", {{"applied", true}}}}.dump());
    CHECK(editor.sent.size() == 1);
  }
}

}  // namespace hearth::lsp::test
