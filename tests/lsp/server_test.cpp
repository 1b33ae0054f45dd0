// What transcripts cannot say: many edits against a plain model, sessions that go, values.
#include "lsp/server.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lsp/document/documents.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/support/parse_guard.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

struct World {
  VirtualHost host;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  std::vector<json> sent;
  std::unique_ptr<Server> server = std::make_unique<Server>(
      host, model, jobs, ServerOptions{}, [this](const json& message) { sent.push_back(message); });

  void send(json message) {
    message["jsonrpc"] = "2.0";
    server->receive(message.dump());
    host.run();
  }
  void connect() {
    model.load();
    send({{"id", 0}, {"method", "initialize"}, {"params", {{"capabilities", json::object()}}}});
    send({{"method", "initialized"}});
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", "file:///a.py"},
              {"languageId", "python"},
              {"version", 1},
              {"text", "x = \n"}}}}}});
    sent.clear();
  }
  void ask(int id) {
    send({{"id", id},
          {"method", "textDocument/inlineCompletion"},
          {"params",
           {{"textDocument", {{"uri", "file:///a.py"}}},
            {"position", {{"line", 0}, {"character", 4}}},
            {"context", {{"triggerKind", 1}}}}}});
  }
  void explain() {
    send({{"id", "e"},
          {"method", "workspace/executeCommand"},
          {"params",
           {{"command", "hearth.server.explain"},
            {"arguments", json::array({{{"uri", "file:///a.py"},
                                        {"range",
                                         {{"start", {{"line", 0}, {"character", 0}}},
                                          {"end", {{"line", 0}, {"character", 3}}}}}}})}}}});
  }
};

constexpr std::array encodings{Encoding::utf8, Encoding::utf16, Encoding::utf32};

}  // namespace

TEST_CASE("documents follow any sequence of changes, in every encoding") {
  std::mt19937 random(3);
  constexpr std::array<std::string_view, 7> alphabet{"a", "\n", "\r\n", "é", "😀", "}", " "};
  const auto some_text = [&] {
    std::string text;
    for (auto left = random() % 8; left > 0; --left) text += alphabet[random() % alphabet.size()];
    return text;
  };
  for (const Encoding encoding : encodings) {
    Documents documents(encoding);
    std::string model = some_text();
    documents.open({{"textDocument",
                     {{"uri", "file:///a"}, {"languageId", ""}, {"version", 0}, {"text", model}}}});
    for (int version = 1; version <= 200; ++version) {
      json changes = json::array();
      for (auto left = random() % 4; left > 0; --left) {
        const Text now(model);
        const auto place = [&] {
          return Position{static_cast<std::uint32_t>(random() % (now.lines() + 1)),
                          static_cast<std::uint32_t>(random() % 6)};
        };
        const Range range{place(), place()};
        const ByteRange bytes = now.bytes(range, encoding);
        const std::string text = some_text();
        model.replace(bytes.begin.value, bytes.end.value - bytes.begin.value, text);
        changes.push_back({{"range", range}, {"text", text}});
      }
      const auto change =
          documents.change({{"textDocument", {{"uri", "file:///a"}, {"version", version}}},
                            {"contentChanges", changes}});
      REQUIRE(change.after->text->str() == model);
      REQUIRE(change.after->version == version);
      REQUIRE(documents.find("file:///a") == change.after);

      // The byte edits lead from the old text's length to the new one's.
      std::size_t size = change.before->text->str().size();
      for (const ByteEdit& edit : change.edits) {
        REQUIRE(edit.start <= edit.old_end);
        REQUIRE(edit.old_end.value <= size);
        size = size - edit.old_end.value + edit.new_end.value;
      }
      REQUIRE(size == model.size());
    }
  }
}

TEST_CASE("half a surrogate pair in an edit costs one character, not the edit") {
  World world;
  world.connect();
  world.server->receive(
      R"({"jsonrpc": "2.0", "method": "textDocument/didChange", "params":
          {"textDocument": {"uri": "file:///a.py", "version": 2}, "contentChanges":
           [{"text": "\\ud83d \ud83d\ude00 \uD83D \ude00!"}]}})");
  world.model.say({"."});
  world.ask(1);
  REQUIRE(world.model.prompts.size() == 1);
  const Prompt& prompt = world.model.prompts[0];
  CHECK(text_of(prompt.prefix) + text_of(prompt.suffix) == "\\ud83d 😀 \uFFFD \uFFFD!");
}

TEST_CASE("a message nested without end is refused") {
  World world;
  world.server->receive(std::string(100'000, '['));
  world.server->receive("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  world.host.run();
  REQUIRE(world.sent.size() == 2);
  CHECK(world.sent[0]["error"]["code"] == -32600);
  CHECK(world.sent[1]["error"]["code"] == -32600);
}

// Counts the turns on the server's thread that lie between two of `other`'s.
class TurnHost : public VirtualHost {
 public:
  void background(std::function<void()> work, std::function<void()> then) override {
    ++backgrounds;
    VirtualHost::background(std::move(work), [this, then = std::move(then)] {
      ++since;
      then();
    });
  }
  void take_turns(const std::function<bool()>& wanted) {
    longest = std::max(longest, std::exchange(since, 0));
    if (wanted()) post([this, wanted] { take_turns(wanted); });
  }
  int backgrounds = 0;
  int since = 0;
  int longest = 0;
};

TEST_CASE("a large message is worked on elsewhere, and others have their turn meanwhile") {
  TurnHost host;
  ScriptedModel model(host);
  MemoryJobStore store(host);
  Jobs jobs(host, model, store);
  std::vector<json> sent;
  Server server(host, model, jobs, ServerOptions{},
                [&](const json& message) { sent.push_back(message); });
  int ready = 0;
  server.on_ready([&] { ++ready; });
  const auto receive = [&](json message) {
    message["jsonrpc"] = "2.0";
    const std::string body = message.dump();
    host.since = host.longest = host.backgrounds = 0;
    server.receive(body);
    ++host.since;
    host.take_turns([&] { return server.busy(); });
    const bool was_busy = server.busy();
    host.run();
    CHECK_FALSE(server.busy());
    return was_busy;
  };
  model.load();
  receive({{"id", 0}, {"method", "initialize"}, {"params", {{"capabilities", json::object()}}}});

  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::string(184, 'y') + "\n";
  CHECK(receive(
      {{"method", "textDocument/didOpen"},
       {"params",
        {{"textDocument",
          {{"uri", "file:///a.txt"}, {"languageId", ""}, {"version", 1}, {"text", text}}}}}}));
  CHECK(host.backgrounds == 2);  // parsing, making
  CHECK(host.longest <= 2);
  json changes = json::array();
  for (int i = 0; i < 20'000; ++i) {
    const json place = {{"line", i}, {"character", 0}};
    changes.push_back({{"range", {{"start", place}, {"end", place}}}, {"text", "x"}});
  }
  CHECK(receive({{"method", "textDocument/didChange"},
                 {"params",
                  {{"textDocument", {{"uri", "file:///a.txt"}, {"version", 2}}},
                   {"contentChanges", std::move(changes)}}}}));
  CHECK(host.backgrounds == 2);
  CHECK(host.longest <= 2);
  CHECK(ready == 2);

  // What follows sees all of it.
  model.say({"."});
  CHECK_FALSE(receive({{"id", 1},
                       {"method", "textDocument/inlineCompletion"},
                       {"params",
                        {{"textDocument", {{"uri", "file:///a.txt"}}},
                         {"position", {{"line", 0}, {"character", 3}}},
                         {"context", {{"triggerKind", 1}}}}}}));
  REQUIRE(model.prompts.size() == 1);
  CHECK(text_of(model.prompts[0].prefix).ends_with("xyy"));

  SUBCASE("a session that goes meanwhile leaves nothing behind") {
    auto gone = std::make_unique<Server>(host, model, jobs, ServerOptions{}, [](const json&) {});
    gone->receive(std::string(1'000'000, ' '));
    CHECK(gone->busy());
    gone.reset();
    host.run();
  }
  SUBCASE("what is wrong with a large one is answered like with a small one") {
    sent.clear();
    server.receive("[" + std::string(1'000'000, ' '));
    host.run();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0]["error"]["code"] == -32700);
    CHECK_FALSE(server.busy());
  }
}

TEST_CASE("a second request with the id of one that is open is refused") {
  World world;
  world.connect();
  world.model.say({"1"});
  world.ask(7);
  world.ask(7);
  REQUIRE(world.sent.size() == 1);
  CHECK(world.sent[0]["error"]["code"] == -32600);
  world.host.advance(1s);
  REQUIRE(world.sent.size() == 2);
  CHECK(world.sent[1]["result"]["items"].size() == 1);
}

TEST_CASE("a session that goes stops its completion and sends nothing more") {
  World world;
  world.connect();
  world.model.say({"1", "2", "3"});
  world.ask(1);
  world.host.advance(100ms);
  world.server.reset();
  world.host.advance(10s);
  CHECK(world.model.steps == 1);
  CHECK(world.sent.empty());
  CHECK(world.host.timers() == 0);
}

TEST_CASE("a session that goes sends nothing more, and its job goes on") {
  World world;
  world.connect();
  world.model.say({"1", "2", "3"});
  world.explain();
  world.host.advance(300ms);
  world.sent.clear();
  SUBCASE("with its connection") {
    world.server.reset();
  }
  SUBCASE("by its exit, before its connection") {
    world.send({{"method", "exit"}});
  }
  world.host.advance(10s);
  CHECK(world.jobs.all().at(0)->state == JobState::done);
  CHECK(world.jobs.all().at(0)->text == "123");
  CHECK(world.sent.empty());
}

TEST_CASE("a job whose session goes before it has a prompt waits for another session") {
  World world;
  world.send({{"id", 0}, {"method", "initialize"}, {"params", {{"capabilities", json::object()}}}});
  world.send({{"method", "textDocument/didOpen"},
              {"params",
               {{"textDocument",
                 {{"uri", "file:///a.py"},
                  {"languageId", "python"},
                  {"version", 1},
                  {"text", "x = 1"}}}}}});
  world.explain();
  world.server.reset();
  world.model.load();
  world.host.advance(10s);
  CHECK(world.jobs.all().at(0)->state == JobState::queued);
  CHECK(world.jobs.ownerless().size() == 1);
  CHECK(world.model.prompts.empty());
}

TEST_CASE("two sessions' documents and request ids are their own") {
  World one;
  std::vector<json> sent;
  Server other(one.host, one.model, one.jobs, ServerOptions{},
               [&](const json& message) { sent.push_back(message); });
  one.connect();
  other.receive(json{{"jsonrpc", "2.0"},
                     {"id", 1},
                     {"method", "initialize"},
                     {"params", {{"capabilities", json::object()}}}}
                    .dump());
  one.model.say({"1"});
  one.ask(1);
  other.receive(R"({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}})");
  one.host.advance(1s);
  REQUIRE(one.sent.size() == 1);
  CHECK(one.sent[0].contains("result"));
  CHECK(sent.size() == 1);
}

// Refuses one document, as after a process that ended over it.
struct OneRefused : ParseGuard {
  bool begin(const std::string& uri) override {
    if (uri != refused) ++open;
    return uri != refused;
  }
  void end(const std::string&) override { --open; }
  bool is_news(const std::string& uri) override {
    return uri == refused && !std::exchange(told, true);
  }
  std::string refused = "file:///p/bad.py";
  bool told = false;
  int open = 0;
};

TEST_CASE("a document that must not be parsed goes by its lines, and its user is told once") {
  OneRefused guard;
  const Syntax syntax{timeout, &guard};
  const std::string text = "def average(values):\n    return sum(values)\n";
  CHECK(syntax.tree(snapshot("file:///p/good.py", text))->parsed());
  const SyntaxTreePtr lines = syntax.tree(snapshot(guard.refused, text));
  CHECK_FALSE(lines->parsed());
  REQUIRE(lines->enclosing({{30}, {30}}));
  CHECK(lines->enclosing({{30}, {30}})->name == "average");
  CHECK(guard.open == 0);

  World world;
  std::vector<json> sent;
  ServerOptions options;
  options.parse_guard = &guard;
  Server server(world.host, world.model, world.jobs, options,
                [&](const json& message) { sent.push_back(message); });
  const auto send = [&](json message) {
    message["jsonrpc"] = "2.0";
    server.receive(message.dump());
  };
  send({{"id", 0},
        {"method", "initialize"},
        {"params", {{"capabilities", json::object()}, {"rootUri", "file:///p"}}}});
  send({{"method", "initialized"}, {"params", json::object()}});
  sent.clear();
  for (const std::string uri : {"file:///p/good.py", "file:///p/bad.py", "file:///p/bad.py"}) {
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri}, {"languageId", "python"}, {"version", 1}, {"text", text}}}}}});
  }
  REQUIRE(sent.size() == 1);
  CHECK(sent[0]["method"] == "window/showMessage");
  CHECK(sent[0]["params"]["message"].get<std::string>().find(" bad.py. ") != std::string::npos);
}

TEST_CASE("the extension's payloads survive being written down") {
  const auto round_trip = [](const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    const json written = json::parse(json(value).dump());
    CHECK(json(written.get<Value>()) == written);
    return written;
  };
  extension::JobStateParams job{.id = 7,
                                .action = "explain",
                                .title = "Explain average",
                                .uri = "file:///a.py",
                                .range = Range{{1, 2}, {3, 4}},
                                .state = JobState::failed,
                                .message = "failed",
                                .percentage = 40,
                                .first_token_ms = 3,
                                .eta_ms = 12,
                                .end_ms = {{9, 24}},
                                .prompt_tokens = 3,
                                .cached_tokens = 2,
                                .answer_tokens = 1,
                                .prompt_ms = 5,
                                .answer_ms = 6,
                                .text = "t",
                                .error = "e"};
  CHECK(round_trip(job)["etaMs"] == 12);
  CHECK(round_trip(job)["firstTokenMs"] == 3);
  CHECK(round_trip(job)["endMs"] == json{9, 24});
  extension::Status status;
  status.version = "1";
  status.model_state = ModelState::failed;
  status.model_error = "why";
  status.jobs = {job};
  CHECK(round_trip(status)["model"] == json{{"state", "failed"}, {"error", "why"}});
  CHECK_FALSE(round_trip(status).contains("notices"));
  status.notices = {"no disk"};
  CHECK(round_trip(status)["notices"] == json{"no disk"});
  round_trip(extension::TextDelta{7, "a\n"});
  round_trip(extension::CancelJobParams{7});
  round_trip(extension::CancelJobResult{true});
  round_trip(extension::InlineCompletionReady{"file:///a.py", 4, {1, 2}});
  CHECK_FALSE(round_trip(extension::CompletionDetail{true, 1, 2, 3, 4, 5}).contains("by"));
  CHECK(round_trip(extension::CompletionDetail{true, 1, 2, 3, 4, 5, "far"})["by"] == "far");
}

}  // namespace hearth::lsp::test
