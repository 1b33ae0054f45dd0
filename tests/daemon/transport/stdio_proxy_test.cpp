// `hearth lsp` between an editor and the daemon: what the editor sees when things go wrong.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <csignal>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/spawn.hpp"
#include "lsp/protocol/wire.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;

namespace {

// What is missing at the end of the third line is plain to see, also for the embedded checkpoint.
constexpr const char* half_written =
    "def average(values):\n"
    "    total = 0\n"
    "    for value in \n"
    "    return total / len(values)\n";

Json completion_params(int line, int character) {
  return {{"textDocument", {{"uri", stats_uri}}},
          {"position", {{"line", line}, {"character", character}}},
          {"context", {{"triggerKind", 1}}}};
}

// So that what is sent next comes after it, whatever the scheduler of the machine does.
void wait_until_read(ScriptedEditor& editor) {
  int unread = 1;
  while (unread > 0) {
    REQUIRE(::ioctl(editor.process().to(), FIONREAD, &unread) == 0);
    if (unread > 0) ::poll(nullptr, 0, 5);
  }
}

}  // namespace

TEST_CASE("an editor that outlives its daemon goes on with the next one") {
  const Home home;
  auto editor = home.editor();
  const Messages messages(editor);
  editor.initialize(Json::object(), nullptr);
  editor.open(stats_uri, "python", "x = 1\n");
  editor.change(stats_uri, 2, half_written);
  CHECK_FALSE(actions(editor, stats_uri, 4).empty());
  const pid_t first = home.daemon_pid();

  ::kill(first, SIGSTOP);  // so that the request is surely unanswered
  const auto open_request = editor.begin("textDocument/inlineCompletion", completion_params(1, 4));
  wait_until_read(editor);
  ::kill(first, SIGKILL);
  const Json failed = editor.wait(open_request);
  CHECK(failed["error"]["code"] == -32803);

  // The next daemon knows the text as it was last, and answers.
  const Json offered = actions(editor, stats_uri, 4);
  REQUIRE_FALSE(offered.empty());
  CHECK(home.daemon_pid() != first);
  CHECK(home.status()["clients"].size() == 1);
  const Json completion = editor.request("textDocument/inlineCompletion", completion_params(2, 17));
  REQUIRE(completion.is_structured());
  CHECK(completion["items"][0]["insertText"] == "values:");
  CHECK(messages.with("started again") == 1);  // it may have been killed while it parsed, as well
  CHECK(editor.quit() == 0);
}

TEST_CASE("a daemon that was stopped is started again when the editor speaks") {
  const Home home;
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(stats_uri, "python", average);
  CHECK_FALSE(actions(editor, stats_uri, 5).empty());
  CHECK(home.hearth("stop").code == 0);
  CHECK_FALSE(home.control());
  CHECK_FALSE(actions(editor, stats_uri, 5).empty());
  CHECK(home.control());
  CHECK(editor.quit() == 0);
}

TEST_CASE("an initialize nested without end is refused, and the session goes on") {
  const Home home;
  const std::string deep = R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":)" +
                           std::string(200'000, '[') + std::string(200'000, ']') + "}";
  const Finished session = home.hearth(
      "lsp", hearth::lsp::frame(deep) +
                 hearth::lsp::frame(R"({"jsonrpc":"2.0","id":2,"method":"textDocument/hover"})") +
                 hearth::lsp::frame(R"({"jsonrpc":"2.0","method":"exit"})"));
  CHECK(session.code == 1);  // for want of a shutdown
  CHECK(session.err.empty());
  CHECK(home.control());
}

TEST_CASE("an editor that only shuts down after its daemon's end needs no other one") {
  const Home home;
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  const auto shutdown = editor.begin("shutdown", nullptr);
  editor.wait(shutdown);
  ::kill(home.daemon_pid(), SIGKILL);
  home.wait_until_gone();
  editor.notify("exit", nullptr);
  CHECK(editor.process().wait() == 0);
  CHECK_FALSE(home.control());
}

TEST_CASE("the editor's end is the session's end, not the daemon's") {
  const Home home;
  {
    auto editor = home.editor();
    editor.initialize(Json::object(), nullptr);
    editor.process().close_input();
    CHECK(editor.process().wait() == 0);
  }
  auto control = home.control();
  REQUIRE(control);
  Json clients = Json::array({1});
  while (!clients.empty()) clients = ask(*control, "status")["clients"];
  CHECK(clients.empty());
}

TEST_CASE("the end of the editor's process is the session's end, though its stdio stays open") {
  const Home home;
  auto other = home.editor();
  other.initialize(Json::object(), nullptr);
  Child editor_process({"/bin/sleep", "1000"}, {});
  auto editor = home.editor();
  const auto initialize = editor.begin(
      "initialize", {{"processId", editor_process.pid()}, {"capabilities", Json::object()}});
  CHECK(editor.wait(initialize).contains("result"));
  CHECK(home.status()["clients"].size() == 2);
  ::kill(editor_process.pid(), SIGKILL);
  CHECK(editor.process().wait() == 0);
  while (home.status()["clients"].size() > 1) ::poll(nullptr, 0, 5);
  CHECK(other.quit() == 0);
}

TEST_CASE("a process that cannot be the editor's does not end its session") {
  const Home home;
  pid_t gone = 0;
  {
    Child child({"true"}, {});
    child.wait();
    gone = child.pid();
  }
  for (const Json& process : {Json(gone), Json(-1), Json(0), Json(1e300), Json("4711")}) {
    CAPTURE(process);
    auto editor = home.editor();
    const auto initialize =
        editor.begin("initialize", {{"processId", process}, {"capabilities", Json::object()}});
    CHECK(editor.wait(initialize).contains("result"));
    CHECK(editor.quit() == 0);
  }
}

TEST_CASE("a lying Content-Length ends the stdio proxy with an error, and the daemon lives") {
  const Home home;
  home.hearth("daemon");
  SUBCASE("too small") {
    const Finished finished = home.hearth(
        "lsp", "Content-Length: 10\r\n\r\n{\"jsonrpc\": \"2.0\"}Content-Length: 2\r\n\r\n{}");
    CHECK(finished.code == 1);
    CHECK(finished.err.find("Content-Length") != std::string::npos);
  }
  SUBCASE("too large") {
    const Finished finished =
        home.hearth("lsp", "Content-Length: 500\r\n\r\n{\"jsonrpc\": \"2.0\"}");
    CHECK(finished.code == 1);
    CHECK(finished.err == "hearth: the editor's stream ends in the middle of a message\n");
  }
  SUBCASE("no number") {
    const Finished finished = home.hearth("lsp", "Content-Length: many\r\n\r\n{}");
    CHECK(finished.code == 1);
    CHECK(finished.err.find("not a number") != std::string::npos);
  }
  CHECK(home.control());
}

TEST_CASE("where no daemon can be had, initialize is answered with the reason") {
  Home home;
  std::string reason;
  SUBCASE("a broken configuration") {
    home.configure("[model]\nthreads = \"all\"\n");
    reason =
        home.paths().config.string() + ":2: model.threads must be a whole number from 0 to 1024";
  }
  SUBCASE("a model directory that does not exist") {
    home.configure("[model]\npath = \"/nowhere/model\"\n");
    reason =
        "there is no model directory /nowhere/model (from model.path of the configuration): "
        "name a directory with config.json, tokenizer.json and *.safetensors";
  }
  auto editor = home.editor(true);
  const Json response = editor.wait(editor.begin("initialize", {{"capabilities", Json::object()}}));
  CHECK(response["error"]["code"] == -32803);
  CHECK(response["error"]["message"] == "hearth cannot start: " + reason);
  const Json later = editor.wait(editor.begin("shutdown", nullptr));
  CHECK(later["error"]["code"] == -32002);
  editor.notify("exit", nullptr);
  CHECK(editor.process().wait() == 1);
}

TEST_CASE("where no daemon can be had, the session ends with the editor's process all the same") {
  Home home;
  home.configure("[model]\nthreads = \"all\"\n");
  Child editor_process({"/bin/sleep", "1000"}, {});
  auto editor = home.editor(true);
  const auto initialize = editor.begin(
      "initialize", {{"processId", editor_process.pid()}, {"capabilities", Json::object()}});
  CHECK(editor.wait(initialize).contains("error"));
  ::kill(editor_process.pid(), SIGKILL);
  CHECK(editor.process().wait() == 1);
}

TEST_CASE("where no daemon can be had, a message that is too large is answered like others") {
  Home home;
  home.configure("[model]\nthreads = \"all\"\n");
  auto editor = home.editor(true);
  const Json large = editor.wait(editor.begin("textDocument/hover", std::string(2'000'000, 'x')));
  CHECK(large["error"]["code"] == -32600);
  const Json response = editor.wait(editor.begin("initialize", {{"capabilities", Json::object()}}));
  CHECK(response["error"]["code"] == -32803);
  editor.notify("exit", nullptr);
  CHECK(editor.process().wait() == 1);
}

TEST_CASE("where no daemon can be had, Neovim is told in a message, as it shows errors as traces") {
  Home home;
  home.configure("[model]\nthreads = \"all\"\n");
  const std::string reason = "hearth cannot start: " + home.paths().config.string() +
                             ":2: model.threads must be a whole number from 0 to 1024";
  auto editor = home.editor(true);
  const Messages messages(editor);
  const Json response = editor.wait(editor.begin(
      "initialize", {{"capabilities", Json::object()}, {"clientInfo", {{"name", "Neovim"}}}}));
  CHECK(response["result"]["capabilities"] == Json::object());
  const Json later = editor.wait(editor.begin("textDocument/codeAction", Json::object()));
  CHECK(later["error"]["code"] == -32803);
  CHECK(later["error"]["message"] == reason);
  CHECK(messages.shown == std::vector{reason});
  editor.notify("exit", nullptr);
  CHECK(editor.process().wait() == 1);
}

TEST_CASE("a model that cannot be loaded fails requests with the reason, and the daemon lives") {
  Home home;
  std::filesystem::create_directory(home.paths().state.parent_path() / "empty-model");
  const std::string model = (home.paths().state.parent_path() / "empty-model").string();
  home.configure("[model]\npath = \"" + model + "\"\n");
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(stats_uri, "python", average);
  const Json response =
      editor.wait(editor.begin("textDocument/inlineCompletion", completion_params(2, 14)));
  REQUIRE(response.contains("error"));
  CHECK(response["error"]["message"].get<std::string>().find("config.json") != std::string::npos);
  const Json status = home.status()["model"];
  CHECK(status["state"] == "failed");
  CHECK(status["error"].get<std::string>().find(model) != std::string::npos);
  CHECK(editor.quit() == 0);
}
