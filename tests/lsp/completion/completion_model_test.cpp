// A model of its own for completions: its profile, its counts and its text, and nobody else's.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;

constexpr const char* uri = "file:///a.py";

struct Editor {
  VirtualHost host;
  ScriptedModel large{host};
  ScriptedModel small{host};
  MemoryJobStore store{host};
  Jobs jobs{host, large, store};
  std::vector<json> said;
  Server server{host, large, jobs, options(),
                [this](const json& message) { said.push_back(message); }};
  int requests = 0;

  Editor() {
    for (ScriptedModel* model : {&large, &small}) {
      model->load();
      model->profile.context_tokens = 32'000;
    }
    large.profile.fim_prefix_tokens = 0;  // cannot complete
    small.profile.fim_prefix_tokens = 1'000;
    small.profile.fim_suffix_tokens = 100;
    send({{"id", 0}, {"method", "initialize"}, {"params", {{"capabilities", json::object()}}}});
    send({{"method", "initialized"}, {"params", json::object()}});
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri},
              {"languageId", "python"},
              {"version", 1},
              {"text", "def f(a):\n    return \n"}}}}}});
  }

  ServerOptions options() {
    ServerOptions all;
    all.completion_model = &small;
    return all;
  }
  void send(json message) {
    message["jsonrpc"] = "2.0";
    server.receive(message.dump());
    host.run();
  }
  json complete() {
    send({{"id", ++requests},
          {"method", "textDocument/inlineCompletion"},
          {"params",
           {{"textDocument", {{"uri", uri}}},
            {"position", {{"line", 1}, {"character", 11}}},
            {"context", {{"triggerKind", 1}}}}}});
    host.advance(std::chrono::seconds(2));
    return said.back();
  }
};

}  // namespace

TEST_CASE("a completion is planned, counted and written by the model of completions") {
  Editor editor;
  editor.small.say({"a + 1"});
  const json answer = editor.complete();
  CAPTURE(answer.dump());
  CHECK(answer["result"]["items"][0]["insertText"] == "a + 1");
  REQUIRE(editor.small.prompts.size() == 1);
  CHECK(editor.small.prompts.front().kind == Prompt::Kind::fill_in_the_middle);
  CHECK(editor.small.count_calls > 0);
  CHECK(editor.large.prompts.empty());
  CHECK(editor.large.count_calls == 0);
}

TEST_CASE("an action is the other model's") {
  Editor editor;
  editor.large.say({"It adds."});
  editor.send({{"id", ++editor.requests},
               {"method", "workspace/executeCommand"},
               {"params",
                {{"command", "hearth.server.explain"},
                 {"arguments", json::array({{{"uri", uri},
                                             {"range",
                                              {{"start", {{"line", 0}, {"character", 0}}},
                                               {"end", {{"line", 2}, {"character", 0}}}}}}})}}}});
  editor.host.advance(std::chrono::seconds(5));
  REQUIRE(editor.large.prompts.size() == 1);
  CHECK(editor.large.count_calls > 0);
  CHECK(editor.small.prompts.empty());
  CHECK(editor.small.count_calls == 0);
}

}  // namespace hearth::lsp::test
