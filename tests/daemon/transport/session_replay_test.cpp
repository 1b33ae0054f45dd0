// What the stdio proxy remembers of an editor's session, and what it makes of it when the daemon
// goes.
#include "daemon/transport/session_replay.hpp"

#include <doctest/doctest.h>

#include "daemon/transport/control_protocol.hpp"

using namespace hearth::daemon;
using Json = hearth::lsp::Json;

namespace {

std::string request(int id, const char* method, Json params = Json::object()) {
  return Json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}}.dump();
}
std::string notification(const char* method, Json params = Json::object()) {
  return Json{{"jsonrpc", "2.0"}, {"method", method}, {"params", params}}.dump();
}
std::string response(const Json& id, Json result = nullptr) {
  return Json{{"jsonrpc", "2.0"}, {"id", id}, {"result", result}}.dump();
}

std::vector<Json> parsed(const std::vector<std::string>& bodies) {
  std::vector<Json> all;
  for (const auto& body : bodies) all.push_back(Json::parse(body));
  return all;
}

// A session that is initialized.
SessionReplay running(Json capabilities = Json::object()) {
  SessionReplay session;
  session.from_client(
      request(1, "initialize", {{"processId", 42}, {"capabilities", capabilities}}));
  session.from_daemon(response(1, {{"capabilities", Json::object()}}));
  session.from_client(notification("initialized"));
  return session;
}

void open(SessionReplay& session, const char* uri, const char* text) {
  session.from_client(
      notification("textDocument/didOpen",
                   {{"textDocument",
                     {{"uri", uri}, {"languageId", "python"}, {"version", 1}, {"text", text}}}}));
}

void edit(SessionReplay& session, const char* uri, int version, int line, int from, int to,
          const char* text) {
  const Json range = {{"start", {{"line", line}, {"character", from}}},
                      {"end", {{"line", line}, {"character", to}}}};
  session.from_client(notification("textDocument/didChange",
                                   {{"textDocument", {{"uri", uri}, {"version", version}}},
                                    {"contentChanges", {{{"range", range}, {"text", text}}}}}));
}

}  // namespace

TEST_CASE("messages pass unchanged while all is well") {
  SessionReplay session = running();
  const std::string asked = request(2, "textDocument/codeAction", {{"odd  key", 1}});
  CHECK(session.from_client(asked) == asked);
  const std::string answered = response(2, Json::array());
  CHECK(session.from_daemon(answered) == answered);
  CHECK(session.from_client("no JSON at all") == "no JSON at all");
}

TEST_CASE("the next daemon is told of the session and of the documents as they are now") {
  SessionReplay session = running();
  open(session, "file:///a.py", "x = '\xF0\x9F\x98\x80'\ny = 1\n");
  open(session, "file:///closed.py", "gone");
  edit(session, "file:///a.py", 2, 0, 8, 8, "  # é");  // behind the emoji, in UTF-16 units
  edit(session, "file:///a.py", 3, 1, 4, 5, "23");
  session.from_client(
      notification("textDocument/didClose", {{"textDocument", {{"uri", "file:///closed.py"}}}}));
  session.daemon_lost();

  const auto replayed = parsed(session.replay());
  REQUIRE(replayed.size() == 3);
  CHECK(replayed[0]["method"] == "initialize");
  CHECK(replayed[0]["params"]["processId"] == 42);
  CHECK(replayed[1]["method"] == "initialized");
  CHECK(replayed[2]["method"] == "textDocument/didOpen");
  const Json& document = replayed[2]["params"]["textDocument"];
  CHECK(document["uri"] == "file:///a.py");
  CHECK(document["languageId"] == "python");
  CHECK(document["version"] == 3);
  CHECK(document["text"] == "x = '\xF0\x9F\x98\x80'  # é\ny = 23\n");
}

TEST_CASE("the next daemon is told of the workspace's folders as they are now") {
  SessionReplay session;
  const auto folder = [](const char* uri) { return Json{{"uri", uri}, {"name", uri}}; };
  session.from_client(request(1, "initialize",
                              {{"capabilities", Json::object()},
                               {"workspaceFolders", {folder("file:///a"), folder("file:///b")}}}));
  session.from_daemon(response(1, Json::object()));
  session.from_client(notification("initialized"));
  session.daemon_lost();
  CHECK(parsed(session.replay())[0]["params"]["workspaceFolders"].size() == 2);
  session.from_client(notification("workspace/didChangeWorkspaceFolders",
                                   {{"event",
                                     {{"removed", {folder("file:///a")}},
                                      {"added", {folder("file:///c"), folder("file:///b")}}}}}));
  session.daemon_lost();
  CHECK(parsed(session.replay())[0]["params"]["workspaceFolders"] ==
        Json::array({folder("file:///b"), folder("file:///c")}));
}

TEST_CASE("edits are read in the encoding that the client chose") {
  SessionReplay session = running({{"general", {{"positionEncodings", {"utf-8", "utf-16"}}}}});
  open(session, "file:///a.py", "é = 1\n");
  edit(session, "file:///a.py", 2, 0, 5, 6, "2");
  session.daemon_lost();
  CHECK(Json::parse(session.replay().back())["params"]["textDocument"]["text"] == "é = 2\n");
}

TEST_CASE("half a surrogate pair in a message loses neither an edit nor a request") {
  SessionReplay session = running();
  open(session, "file:///a.py", "x = 1\n");
  session.from_client(
      R"({"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":)"
      R"({"uri":"file:///a.py","version":2},"contentChanges":[{"range":{"start":)"
      R"({"line":0,"character":4},"end":{"line":0,"character":4}},"text":"\ud83d"}]}})");
  edit(session, "file:///a.py", 3, 0, 5, 6, "23");
  session.from_client(R"({"jsonrpc":"2.0","id":2,"method":"x","params":"\udead"})");
  const auto told = parsed(session.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0]["id"] == 2);
  const Json document = parsed(session.replay()).back()["params"]["textDocument"];
  CHECK(document["version"] == 3);
  CHECK(document["text"] == "x = \uFFFD23\n");
}

TEST_CASE("a document that is out of step is so for the next daemon too") {
  SessionReplay session = running();
  open(session, "file:///a.py", "x = 1\n");
  open(session, "file:///b.py", "y\n");
  session.from_client(notification(
      "textDocument/didChange",
      {{"textDocument", {{"uri", "file:///a.py"}, {"version", nullptr}}}, {"contentChanges", 7}}));
  edit(session, "file:///a.py", 3, 0, 0, 1, "z");
  session.daemon_lost();
  const auto replayed = parsed(session.replay());
  REQUIRE(replayed.size() == 5);
  hearth::lsp::Documents documents(hearth::lsp::Encoding::utf16);
  for (const Json& message : replayed) {
    const bool opens = message["method"] == "textDocument/didOpen";
    if (opens) documents.open(message["params"]);
    if (message["method"] != "textDocument/didChange") continue;
    CHECK_THROWS_AS(documents.change(message["params"]), hearth::lsp::InvalidParams);
  }
  CHECK(documents.out_of_step("file:///a.py"));
  CHECK_FALSE(documents.out_of_step("file:///b.py"));

  open(session, "file:///a.py", "z\n");
  session.daemon_lost();
  CHECK(parsed(session.replay()).size() == 4);
  session.from_client(
      R"({"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":)"
      R"({"uri":"file:///b.py","version":2},"contentChanges":[nonsense]}})");
  session.daemon_lost();
  CHECK(parsed(session.replay()).size() == 5);
}

TEST_CASE("what is nested without end passes by the stdio proxy, which remembers nothing of it") {
  SessionReplay session;
  const std::string deep = R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":)" +
                           std::string(200'000, '[') + std::string(200'000, ']') + "}";
  CHECK(session.from_client(deep) == deep);  // the daemon refuses it
  CHECK(session.from_daemon(deep).empty());
  CHECK_FALSE(session.unanswered_initialize());
  CHECK(session.daemon_lost().empty());
  CHECK(session.replay().empty());
}

TEST_CASE("an initialize that the daemon refuses is not kept for the next one") {
  SessionReplay session;
  session.from_client(request(1, "initialize", Json::array()));
  session.from_client(request(2, "initialize", {{"capabilities", Json::object()}}));
  const auto told = parsed(session.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0]["id"] == 1);
  CHECK(parsed(session.replay())[0]["id"] == 2);
}

TEST_CASE("open requests fail when the daemon goes, answered ones do not") {
  SessionReplay session = running();
  session.from_client(request(2, "textDocument/codeAction"));
  session.from_client(request(3, "textDocument/inlineCompletion"));
  session.from_daemon(response(2, Json::array()));
  const auto told = parsed(session.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0]["id"] == 3);
  CHECK(told[0]["error"]["code"] == -32803);
  CHECK(session.daemon_lost().empty());
}

TEST_CASE("the replayed initialize is answered to nobody") {
  SessionReplay session = running();
  session.daemon_lost();
  const Json initialize = Json::parse(session.replay().front());
  CHECK(session.from_daemon(response(initialize["id"], Json::object())).empty());
  CHECK_FALSE(session.notice("restarted").empty());
}

TEST_CASE("an initialize that was not answered is answered by the next daemon") {
  SessionReplay session;
  session.from_client(request(1, "initialize", {{"capabilities", Json::object()}}));
  CHECK(session.daemon_lost().empty());
  CHECK(session.unanswered_initialize() == Json(1));
  CHECK(session.notice("restarted").empty());  // nothing may come before the answer
  const auto replayed = parsed(session.replay());
  REQUIRE(replayed.size() == 1);
  CHECK(replayed[0]["id"] == 1);
  const std::string answered = response(1, Json::object());
  CHECK(session.from_daemon(answered) == answered);
  CHECK_FALSE(session.unanswered_initialize());
}

TEST_CASE("a late answer to an earlier daemon's request does not reach the next one") {
  SessionReplay session = running();
  CHECK(Json::parse(session.from_daemon(request(1, "workspace/applyEdit")))["id"] == 1);
  session.daemon_lost();
  const Json asked = Json::parse(session.from_daemon(request(1, "workspace/applyEdit")));
  CHECK(asked["id"] != 1);
  CHECK(session.from_client(response(1, {{"applied", true}})).empty());
  const Json answered =
      Json::parse(session.from_client(response(asked["id"], {{"applied", false}})));
  CHECK(answered["id"] == 1);
  CHECK(answered["result"]["applied"] == false);
}

TEST_CASE("progress that was shown ends with its daemon") {
  SessionReplay session = running();
  const auto progress = [&](const char* token, const char* kind) {
    session.from_daemon(
        notification("$/progress", {{"token", token}, {"value", {{"kind", kind}}}}));
  };
  progress("a", "begin");
  progress("b", "begin");
  progress("b", "report");
  progress("a", "end");
  const auto told = parsed(session.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0]["method"] == "$/progress");
  CHECK(told[0]["params"]["token"] == "b");
  CHECK(told[0]["params"]["value"]["kind"] == "end");
}

TEST_CASE("a shutdown that the daemon did not live to answer is done") {
  SessionReplay session = running();
  session.from_client(request(9, "shutdown"));
  const auto told = parsed(session.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0] == Json{{"jsonrpc", "2.0"}, {"id", 9}, {"result", nullptr}});
  CHECK(session.shut_down());
}

TEST_CASE("exit ends with 0 only after shutdown") {
  SessionReplay orderly = running();
  orderly.from_client(request(9, "shutdown"));
  orderly.from_client(notification("exit"));
  CHECK(orderly.exit_code() == 0);
  SessionReplay abrupt = running();
  abrupt.from_client(notification("exit"));
  CHECK(abrupt.exit_code() == 1);
}

TEST_CASE("the daemon's shutdown notice is for the stdio proxy alone") {
  SessionReplay session = running();
  CHECK(session.from_daemon(shutdown_notice()).empty());
  CHECK(session.shutdown_announced());
  session.daemon_lost();
  CHECK_FALSE(session.shutdown_announced());
}

TEST_CASE("messages of a wrong form change nothing and pass") {
  SessionReplay session = running();
  open(session, "file:///a.py", "x = 1\n");
  for (
      const char* body :
      {R"({"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":1}}})",
       R"({"jsonrpc":"2.0","method":"textDocument/didClose"})",
       R"({"jsonrpc":"2.0","method":"textDocument/didOpen","params":[]})", R"([1,2,3])",
       R"({"jsonrpc":"2.0","method":7})", R"({"id":null,"result":1})"}) {
    CAPTURE(body);
    CHECK_FALSE(session.from_client(body).empty());
  }
  session.daemon_lost();
  CHECK(Json::parse(session.replay().back())["params"]["textDocument"]["text"] == "x = 1\n");
}

TEST_CASE("documents of a client that never said `initialized` are told to the next daemon") {
  SessionReplay session;
  session.from_client(
      request(1, "initialize", {{"processId", 42.0}, {"capabilities", Json::object()}}));
  session.from_daemon(response(1, {{"capabilities", Json::object()}}));
  CHECK(session.editor_process() == 42);
  open(session, "file:///a.py", "x = 1\n");
  session.daemon_lost();
  const auto replayed = parsed(session.replay());
  REQUIRE(replayed.size() == 2);
  CHECK(replayed[0]["method"] == "initialize");
  CHECK(replayed[1]["method"] == "textDocument/didOpen");
}
