// What the forwarder remembers of an editor's session, and what it makes of it when the daemon
// goes.
#include "daemon/relay.hpp"

#include <doctest/doctest.h>

#include "daemon/protocol.hpp"

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
Relay running(Json capabilities = Json::object()) {
  Relay relay;
  relay.from_client(request(1, "initialize", {{"processId", 42}, {"capabilities", capabilities}}));
  relay.from_daemon(response(1, {{"capabilities", Json::object()}}));
  relay.from_client(notification("initialized"));
  return relay;
}

void open(Relay& relay, const char* uri, const char* text) {
  relay.from_client(
      notification("textDocument/didOpen",
                   {{"textDocument",
                     {{"uri", uri}, {"languageId", "python"}, {"version", 1}, {"text", text}}}}));
}

void edit(Relay& relay, const char* uri, int version, int line, int from, int to,
          const char* text) {
  const Json range = {{"start", {{"line", line}, {"character", from}}},
                      {"end", {{"line", line}, {"character", to}}}};
  relay.from_client(notification("textDocument/didChange",
                                 {{"textDocument", {{"uri", uri}, {"version", version}}},
                                  {"contentChanges", {{{"range", range}, {"text", text}}}}}));
}

}  // namespace

TEST_CASE("messages pass unchanged while all is well") {
  Relay relay = running();
  const std::string asked = request(2, "textDocument/codeAction", {{"odd  key", 1}});
  CHECK(relay.from_client(asked) == asked);
  const std::string answered = response(2, Json::array());
  CHECK(relay.from_daemon(answered) == answered);
  CHECK(relay.from_client("no JSON at all") == "no JSON at all");
}

TEST_CASE("the next daemon is told of the session and of the documents as they are now") {
  Relay relay = running();
  open(relay, "file:///a.py", "x = '\xF0\x9F\x98\x80'\ny = 1\n");
  open(relay, "file:///closed.py", "gone");
  edit(relay, "file:///a.py", 2, 0, 8, 8, "  # é");  // behind the emoji, in UTF-16 units
  edit(relay, "file:///a.py", 3, 1, 4, 5, "23");
  relay.from_client(
      notification("textDocument/didClose", {{"textDocument", {{"uri", "file:///closed.py"}}}}));
  relay.daemon_lost();

  const auto replayed = parsed(relay.replay());
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

TEST_CASE("edits are read in the encoding that the client chose") {
  Relay relay = running({{"general", {{"positionEncodings", {"utf-8", "utf-16"}}}}});
  open(relay, "file:///a.py", "é = 1\n");
  edit(relay, "file:///a.py", 2, 0, 5, 6, "2");
  relay.daemon_lost();
  CHECK(Json::parse(relay.replay().back())["params"]["textDocument"]["text"] == "é = 2\n");
}

TEST_CASE("open requests fail when the daemon goes, answered ones do not") {
  Relay relay = running();
  relay.from_client(request(2, "textDocument/codeAction"));
  relay.from_client(request(3, "textDocument/inlineCompletion"));
  relay.from_daemon(response(2, Json::array()));
  const auto told = parsed(relay.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0]["id"] == 3);
  CHECK(told[0]["error"]["code"] == -32803);
  CHECK(relay.daemon_lost().empty());
}

TEST_CASE("the replayed initialize is answered to nobody") {
  Relay relay = running();
  relay.daemon_lost();
  const Json initialize = Json::parse(relay.replay().front());
  CHECK(relay.from_daemon(response(initialize["id"], Json::object())).empty());
  CHECK_FALSE(relay.notice("restarted").empty());
}

TEST_CASE("an initialize that was not answered is answered by the next daemon") {
  Relay relay;
  relay.from_client(request(1, "initialize", {{"capabilities", Json::object()}}));
  CHECK(relay.daemon_lost().empty());
  CHECK(relay.unanswered_initialize() == Json(1));
  CHECK(relay.notice("restarted").empty());  // nothing may come before the answer
  const auto replayed = parsed(relay.replay());
  REQUIRE(replayed.size() == 1);
  CHECK(replayed[0]["id"] == 1);
  const std::string answered = response(1, Json::object());
  CHECK(relay.from_daemon(answered) == answered);
  CHECK_FALSE(relay.unanswered_initialize());
}

TEST_CASE("a late answer to an earlier daemon's request does not reach the next one") {
  Relay relay = running();
  CHECK(Json::parse(relay.from_daemon(request(1, "workspace/applyEdit")))["id"] == 1);
  relay.daemon_lost();
  const Json asked = Json::parse(relay.from_daemon(request(1, "workspace/applyEdit")));
  CHECK(asked["id"] != 1);
  CHECK(relay.from_client(response(1, {{"applied", true}})).empty());
  const Json answered = Json::parse(relay.from_client(response(asked["id"], {{"applied", false}})));
  CHECK(answered["id"] == 1);
  CHECK(answered["result"]["applied"] == false);
}

TEST_CASE("progress that was shown ends with its daemon") {
  Relay relay = running();
  const auto progress = [&](const char* token, const char* kind) {
    relay.from_daemon(notification("$/progress", {{"token", token}, {"value", {{"kind", kind}}}}));
  };
  progress("a", "begin");
  progress("b", "begin");
  progress("b", "report");
  progress("a", "end");
  const auto told = parsed(relay.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0]["method"] == "$/progress");
  CHECK(told[0]["params"]["token"] == "b");
  CHECK(told[0]["params"]["value"]["kind"] == "end");
}

TEST_CASE("a shutdown that the daemon did not live to answer is done") {
  Relay relay = running();
  relay.from_client(request(9, "shutdown"));
  const auto told = parsed(relay.daemon_lost());
  REQUIRE(told.size() == 1);
  CHECK(told[0] == Json{{"jsonrpc", "2.0"}, {"id", 9}, {"result", nullptr}});
  CHECK(relay.shut_down());
}

TEST_CASE("exit ends with 0 only after shutdown") {
  Relay orderly = running();
  orderly.from_client(request(9, "shutdown"));
  orderly.from_client(notification("exit"));
  CHECK(orderly.exit_code() == 0);
  Relay abrupt = running();
  abrupt.from_client(notification("exit"));
  CHECK(abrupt.exit_code() == 1);
}

TEST_CASE("the daemon's goodbye is for the forwarder alone") {
  Relay relay = running();
  CHECK(relay.from_daemon(goodbye()).empty());
  CHECK(relay.said_goodbye());
  relay.daemon_lost();
  CHECK_FALSE(relay.said_goodbye());
}

TEST_CASE("messages of a wrong form change nothing and pass") {
  Relay relay = running();
  open(relay, "file:///a.py", "x = 1\n");
  for (
      const char* body :
      {R"({"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":1}}})",
       R"({"jsonrpc":"2.0","method":"textDocument/didClose"})",
       R"({"jsonrpc":"2.0","method":"textDocument/didOpen","params":[]})", R"([1,2,3])",
       R"({"jsonrpc":"2.0","method":7})", R"({"id":null,"result":1})"}) {
    CAPTURE(body);
    CHECK_FALSE(relay.from_client(body).empty());
  }
  relay.daemon_lost();
  CHECK(Json::parse(relay.replay().back())["params"]["textDocument"]["text"] == "x = 1\n");
}
