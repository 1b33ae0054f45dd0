// What a person says while a job's edits are on their way counts: what they cancelled or dismissed
// is not sent, and what they asked for again is not taken for what was sent before.
#include "lsp/actions/delivery.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/slow_store.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// An editor with one document, whose person asks for a change of it.
struct Desk {
  VirtualHost host;
  ScriptedModel model{host};
  SlowStore store{host};
  Jobs jobs{host, model, store};
  std::vector<json> sent;
  Server server{host, model, jobs, ServerOptions{},
                [this](const json& message) { sent.push_back(message); }};

  explicit Desk(bool loads = true) {
    if (loads) model.load();
    send(
        {{"id", 0},
         {"method", "initialize"},
         {"params",
          {{"workspaceFolders", {{{"uri", "file:///p"}, {"name", "p"}}}},
           {"capabilities",
            {{"workspace", {{"applyEdit", true}, {"workspaceEdit", {{"documentChanges", true}}}}}}},
           {"initializationOptions", {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}}}}}});
    send({{"method", "initialized"}});
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", "file:///p/a.py"},
              {"languageId", "python"},
              {"version", 1},
              {"text", "def a(x):\n    return x\n"}}}}}});
  }
  void send(json message) {
    message["jsonrpc"] = "2.0";
    server.receive(message.dump());
    host.run();
  }
  void says(const std::string& name) {
    model.say({"```python\ndef " + name + "(x):\n    return x\n```\n"});
  }
  JobId ask(bool review = false) {
    send({{"id", 1},
          {"method", "workspace/executeCommand"},
          {"params",
           {{"command", "hearth.server.edit"},
            {"arguments",
             {{{"uri", "file:///p/a.py"},
               {"range",
                {{"start", {{"line", 0}, {"character", 0}}},
                 {"end", {{"line", 1}, {"character", 12}}}}},
               {"instruction", "Another name."},
               {"review", review}}}}}}});
    return jobs.all().back()->id;
  }
  std::vector<json> edits() const {
    std::vector<json> found;
    for (const json& message : sent) {
      if (message.value("method", "") == "workspace/applyEdit") found.push_back(message);
    }
    return found;
  }
};

}  // namespace

TEST_CASE("an edit that is being checked is not sent once its job is cancelled or dismissed") {
  for (const auto say_no : {&Jobs::cancel, &Jobs::dismiss}) {
    Desk desk;
    desk.says("b");
    const JobId id = desk.ask();
    bool said = false;
    desk.jobs.watch(id, [&](const Job& job, std::string_view) {
      if (job.state != JobState::waiting || said) return;
      said = true;
      desk.host.post([&] { CHECK((desk.jobs.*say_no)(id)); });
    });
    desk.host.advance(60s);
    CHECK(said);
    CHECK(desk.edits().empty());
    CHECK(ended(desk.jobs.find(id)->state));
  }
}

TEST_CASE("an edit is not sent where its job is cancelled while that is being written down") {
  Desk desk;
  desk.says("b");
  const JobId id = desk.ask();
  desk.jobs.watch(id, [&](const Job& job, std::string_view) {
    if (job.state == JobState::waiting) desk.store.slow = true;
  });
  desk.host.advance(60s);
  REQUIRE(desk.jobs.find(id)->state == JobState::waiting);
  REQUIRE_FALSE(desk.jobs.find(id)->sent.empty());
  CHECK(desk.jobs.cancel(id));
  desk.store.sync();
  desk.host.advance(1s);
  CHECK(desk.edits().empty());
  CHECK(desk.jobs.find(id)->state == JobState::cancelled);
  CHECK(desk.jobs.find(id)->sent.empty());
}

TEST_CASE("a job that is asked again is done with its own edit, not with the one sent before") {
  Desk desk;
  desk.says("b");
  const JobId id = desk.ask();
  desk.host.advance(60s);
  REQUIRE(desk.edits().size() == 1);
  // The editor still asks its person.
  CHECK(desk.jobs.cancel(id));
  desk.says("c");
  CHECK(desk.jobs.retry(id));
  CHECK(desk.jobs.find(id)->sent.empty());
  desk.host.advance(60s);
  CHECK(desk.jobs.find(id)->state == JobState::waiting);
  desk.send({{"id", desk.edits().at(0)["id"]}, {"result", {{"applied", false}}}});
  desk.host.advance(1s);
  REQUIRE(desk.edits().size() == 2);
  CHECK(desk.edits().at(1).dump().find("def c") != std::string::npos);
  CHECK(desk.jobs.find(id)->state == JobState::waiting);
  desk.send({{"id", desk.edits().at(1)["id"]}, {"result", {{"applied", true}}}});
  CHECK(desk.jobs.find(id)->state == JobState::done);
}

TEST_CASE("a change that was offered before a job is asked again is no offer of what comes now") {
  Desk desk;
  desk.says("b");
  const JobId id = desk.ask(true);
  desk.host.advance(60s);
  REQUIRE(desk.jobs.find(id)->offer.find("+def b") != std::string::npos);
  CHECK(desk.jobs.cancel(id));
  desk.says("c");
  CHECK(desk.jobs.retry(id));
  CHECK(desk.jobs.find(id)->offer.empty());
  desk.host.advance(60s);
  CHECK(desk.jobs.find(id)->offer.find("+def c") != std::string::npos);
}

TEST_CASE("a job that could not be planned is planned when it is asked again") {
  Desk desk(false);
  const JobId id = desk.ask();
  desk.model.fail_loading("no such folder");
  desk.host.run();
  REQUIRE(desk.jobs.find(id)->state == JobState::failed);
  CHECK(desk.jobs.retry(id));  // before its session is done with it
  CHECK(desk.jobs.find(id)->state == JobState::queued);
  desk.host.advance(60s);
  CHECK(desk.jobs.find(id)->state == JobState::failed);
  CHECK(desk.jobs.find(id)->error == "no such folder");
}

}  // namespace hearth::lsp::test
