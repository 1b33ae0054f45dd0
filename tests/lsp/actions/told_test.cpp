// What an editor is told of a job is never lost: nothing before it is written down, and an end that
// may not have reached a person is shown again.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "lsp/jobs/jobs.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/slow_store.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

struct Editor {
  Editor(VirtualHost& host, Model& model, Jobs& jobs, const json& options = json::object())
      : host_(host),
        server_(
            std::make_unique<Server>(host, model, jobs, ServerOptions{},
                                     [this](const json& message) { sent.push_back(message); })) {
    send({{"id", 0},
          {"method", "initialize"},
          {"params",
           {{"rootUri", "file:///p"},
            {"capabilities", json::object()},
            {"initializationOptions", options}}}});
    send({{"method", "initialized"}});
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", "file:///p/a.py"},
              {"languageId", "python"},
              {"version", 1},
              {"text", "x = 1\n"}}}}}});
    sent.clear();
  }
  void explain() {
    const json range = {{"start", {{"line", 0}, {"character", 0}}},
                        {"end", {{"line", 0}, {"character", 3}}}};
    send({{"id", 1},
          {"method", "workspace/executeCommand"},
          {"params",
           {{"command", "hearth.server.explain"},
            {"arguments", json::array({{{"uri", "file:///p/a.py"}, {"range", range}}})}}}});
  }
  void send(json message) {
    message["jsonrpc"] = "2.0";
    server_->receive(message.dump());
    host_.run();
  }
  void go() { server_.reset(); }
  bool was_shown(const std::string& text) const {
    return std::ranges::any_of(
        sent, [&](const json& message) { return message.dump().find(text) != std::string::npos; });
  }
  std::vector<json> sent;

 private:
  VirtualHost& host_;
  std::unique_ptr<Server> server_;
};

struct World {
  World() {
    model.load();
    host.run();
  }
  VirtualHost host;
  ScriptedModel model{host};
  SlowStore store{host};
  Jobs jobs{host, model, store};
};

}  // namespace

TEST_CASE("an editor hears of a job once it is written down") {
  World world;
  Editor editor(world.host, world.model, world.jobs);
  world.model.say({"It is ", "one."});
  world.store.slow = true;
  editor.explain();
  SUBCASE("and of all that it wrote meanwhile") {
    world.host.advance(10s);
    CHECK(editor.sent.empty());
    CHECK(world.jobs.all().at(0)->state == JobState::done);
    world.store.sync();
    world.host.advance(100ms);
    REQUIRE_FALSE(editor.sent.empty());
    CHECK(editor.sent.front()["id"] == 1);  // the answer first
    CHECK(editor.was_shown("It is one."));
  }
  SUBCASE("and where it has gone by then, the next one does") {
    editor.go();
    Editor next(world.host, world.model, world.jobs);
    world.store.sync();
    world.host.advance(10s);
    CHECK(next.was_shown("It is one."));
  }
}

TEST_CASE("what was written before an editor heard of its job is told with it") {
  World world;
  Editor editor(world.host, world.model, world.jobs,
                {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}});
  world.model.say({"It ", "is ", "one", "."});
  world.store.slow = true;
  editor.explain();
  while (world.jobs.all().at(0)->text != "It is ") world.host.advance(50ms);
  world.store.sync();
  while (world.jobs.all().at(0)->state == JobState::generating) world.host.advance(50ms);
  std::string text;
  for (const json& message : editor.sent) {
    const json& params = message.value("params", json::object());
    if (message.value("method", "") == "hearth/jobState" && params["state"] == "generating")
      text = params.value("text", text);
    if (message.value("method", "") == "hearth/textDelta") text += params["text"];
  }
  CHECK(text == "It is one.");
}

TEST_CASE("an answer that an editor was shown as it went is shown by the next one") {
  World world;
  Editor editor(world.host, world.model, world.jobs);
  world.model.say({"It is ", "one."});
  editor.explain();
  while (!editor.was_shown("It is one.")) world.host.advance(50ms);
  SUBCASE("at once") {
    editor.go();
    Editor next(world.host, world.model, world.jobs);
    world.host.advance(10s);
    CHECK(next.was_shown("It is one."));
  }
  SUBCASE("but not when it had been there for a while") {
    world.host.advance(3s);
    editor.go();
    Editor next(world.host, world.model, world.jobs);
    world.host.advance(10s);
    CHECK_FALSE(next.was_shown("It is one."));
  }
}

}  // namespace hearth::lsp::test
