// `hearth lsp` between an editor and the daemon: what the editor sees when things go wrong.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <csignal>

#include "daemon/error.hpp"
#include "daemon/files.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;

namespace {

constexpr const char* uri = "file:///stats.py";
constexpr const char* average =
    "def average(values):\n"
    "    total = 0\n"
    "    for value in values:\n"
    "        total += value\n"
    "    return total / len(values)\n";

Json explain_actions(ScriptedEditor& editor, int last_line) {
  return editor.request("textDocument/codeAction",
                        {{"textDocument", {{"uri", uri}}},
                         {"range",
                          {{"start", {{"line", 0}, {"character", 0}}},
                           {"end", {{"line", last_line}, {"character", 0}}}}},
                         {"context", {{"diagnostics", Json::array()}, {"triggerKind", 1}}}});
}

Json completion_params(int line, int character) {
  return {{"textDocument", {{"uri", uri}}},
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

struct Messages {
  explicit Messages(ScriptedEditor& editor) {
    editor.on_notification = [this](const std::string& method, const Json& params) {
      if (method == "window/showMessage") shown.push_back(params["message"].get<std::string>());
    };
  }
  std::vector<std::string> shown;
};

}  // namespace

TEST_CASE("an editor that outlives its daemon goes on with the next one") {
  const Home home;
  auto editor = home.editor();
  const Messages messages(editor);
  editor.initialize(Json::object(), nullptr);
  editor.open(uri, "python", "x = 1\n");
  editor.change(uri, 2, average);
  CHECK_FALSE(explain_actions(editor, 5).empty());
  const pid_t first = home.daemon_pid();

  ::kill(first, SIGSTOP);  // so that the request is surely unanswered
  const auto open_request = editor.begin("textDocument/inlineCompletion", completion_params(1, 4));
  wait_until_read(editor);
  ::kill(first, SIGKILL);
  const Json failed = editor.wait(open_request);
  CHECK(failed["error"]["code"] == -32803);

  // The next daemon knows the text as it was last, and answers.
  const Json actions = explain_actions(editor, 5);
  REQUIRE_FALSE(actions.empty());
  CHECK(home.daemon_pid() != first);
  CHECK(home.status()["clients"].size() == 1);
  const Json completion = editor.request("textDocument/inlineCompletion", completion_params(2, 14));
  CHECK(completion.is_structured());
  REQUIRE(messages.shown.size() == 1);
  CHECK(messages.shown[0].find("started again") != std::string::npos);
  CHECK(editor.quit() == 0);
}

TEST_CASE("a daemon that was stopped is started again when the editor speaks") {
  const Home home;
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(uri, "python", average);
  CHECK_FALSE(explain_actions(editor, 5).empty());
  CHECK(home.hearth("stop").code == 0);
  CHECK_FALSE(home.control());
  CHECK_FALSE(explain_actions(editor, 5).empty());
  CHECK(home.control());
  CHECK(editor.quit() == 0);
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

TEST_CASE("a lying Content-Length ends the forwarder with an error, and the daemon lives") {
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

TEST_CASE("a model that cannot be loaded fails requests with the reason, and the daemon lives") {
  Home home;
  std::filesystem::create_directory(home.paths().state.parent_path() / "empty-model");
  const std::string model = (home.paths().state.parent_path() / "empty-model").string();
  home.configure("[model]\npath = \"" + model + "\"\n");
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(uri, "python", average);
  const Json response =
      editor.wait(editor.begin("textDocument/inlineCompletion", completion_params(2, 14)));
  REQUIRE(response.contains("error"));
  CHECK(response["error"]["message"].get<std::string>().find("config.json") != std::string::npos);
  const Json status = home.status()["model"];
  CHECK(status["state"] == "failed");
  CHECK(status["error"].get<std::string>().find(model) != std::string::npos);
  CHECK(editor.quit() == 0);
}
