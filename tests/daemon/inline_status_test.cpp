// What the status says of inline completion: how much it is used, and where it is too slow to come
// at each keystroke.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "daemon/status.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth;
using namespace hearth::tests;
using namespace std::chrono_literals;

namespace {

Json completion_at(int line, int character) {
  return {{"textDocument", {{"uri", stats_uri}}},
          {"position", {{"line", line}, {"character", character}}},
          {"context", {{"triggerKind", 1}}}};
}

}  // namespace

TEST_CASE("the status says where keystrokes are read too slowly for completions at each") {
  daemon::ModelStatus model;
  model.state = daemon::ModelStatus::State::ready;
  model.completion_speed = 20;
  const auto says = [&](std::chrono::milliseconds max_read) {
    Json all = Json::parse(R"({"pid": 1, "build": "", "uptimeSeconds": 1, "clients": [], "jobs": [],
                               "log": "", "config": ""})");
    all["model"] = daemon::to_json(model);
    all["inline"] = daemon::inline_status(model, max_read, {});
    return daemon::show_status(all, 1'000);
  };
  const std::string sentence = "completions come at pauses and where a line begins only: at 20";
  CHECK(contains(says(1s), sentence));
  CHECK_FALSE(contains(says(10s), "at pauses"));
  model.completion_speed.reset();
  CHECK_FALSE(contains(says(1s), "at pauses"));
}

TEST_CASE("the status counts what became of completions, for each editor and all of them") {
  const Home home;
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(
      stats_uri, "python",
      "def average(values):\n    total = 0\n    for value in \n    return total / len(values)\n");
  const Json completion = editor.request("textDocument/inlineCompletion", completion_at(2, 17));
  REQUIRE(completion.is_structured());
  const Json expected{{"shown", 1}, {"accepted", 0}, {"rejected", 0}};
  CHECK(home.status()["clients"][0]["inline"] == expected);

  const Json command = completion["items"][0]["command"];
  CHECK(editor.request("workspace/executeCommand",
                       {{"command", command["command"]}, {"arguments", command["arguments"]}}) ==
        Json(nullptr));
  const Json status = home.status();
  CHECK(status["inline"]["accepted"] == 1);
  CHECK(contains(unbroken(home.hearth("status").out), "1 shown, 1 accepted, 0 rejected"));
  CHECK(editor.quit() == 0);

  // An editor that is gone has been counted.
  auto other = home.editor();
  other.initialize(Json::object(), nullptr);
  CHECK(home.status()["inline"]["shown"] == 1);
  CHECK(other.quit() == 0);
}
