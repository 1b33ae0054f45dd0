// What becomes of requests to a server that is away, refuses, breaks off, or keeps to nothing.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "daemon/remote/remote_model.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/remote/fake_engine.hpp"

using namespace hearth;
using namespace hearth::tests;
using namespace std::chrono_literals;
using Kind = lsp::ModelError::Kind;
using nlohmann::json;
using State = daemon::RemoteStatus::State;

namespace {

const std::vector<std::string> hello{text_event("Hel"), text_event("lo."), finish_event("stop"),
                                     usage_event(20, 2, 12)};

// An answer that breaks off behind these events, the first time.
FakeEngine::Answer breaks_off(std::vector<std::string> before, std::vector<std::string> then) {
  return [before = std::move(before), then = std::move(then)](const WebRequest&,
                                                              WebConnection& connection, int nth) {
    nth == 1 ? stream(connection, before, false) : stream(connection, then);
  };
}

std::string inline_failure(RemoteStage& stage) {
  lsp::GenerateOptions options;
  options.priority = lsp::Priority::inline_completion;
  const Heard heard = stage.ask(fim_prompt("a = ", ""), options);
  CHECK(heard.error().kind == Kind::unavailable);
  return heard.error().message;
}

}  // namespace

TEST_CASE("an answer that breaks off is asked for again, and told on from where it was") {
  FakeEngine engine({});
  engine.chat(breaks_off({text_event("Hel")}, hello));
  RemoteStage stage(engine.origin());
  const Heard heard = stage.ask(chat_prompt("x"));
  CHECK(heard.pieces == std::vector<std::string>{"Hel", "lo."});
  CHECK(heard.answer().text == "Hello.");
  CHECK(stage.model->status().retried == 1);
  CHECK(contains(stage.host.logged(), "the request is sent again in 1.0 s"));
  CHECK(std::ranges::count(stage.host.delays, 1000ms) >= 1);
}

TEST_CASE("an answer that comes otherwise begins anew, or fails where it cannot") {
  FakeEngine engine({});
  engine.chat(breaks_off({text_event("Hello, w")}, hello));
  {
    RemoteStage stage(engine.origin());
    const Heard heard = stage.ask(chat_prompt("x"));
    CHECK(heard.pieces == std::vector<std::string>{"Hello, w", "RESTART", "Hello."});
    CHECK(heard.answer().text == "Hello.");
  }
  FakeEngine other({});
  other.chat(breaks_off({text_event("Hello, ")}, hello));
  RemoteStage stage(other.origin());
  const Heard heard = stage.ask(chat_prompt("x"), {}, false);
  CHECK(heard.error().kind == Kind::unavailable);
  CHECK(contains(heard.error().message, "broke off"));
}

TEST_CASE("a shorter answer than was told begins anew, too") {
  FakeEngine engine({});
  engine.chat(breaks_off({text_event("Hello. And more")}, hello));
  RemoteStage stage(engine.origin());
  const Heard heard = stage.ask(chat_prompt("x"));
  CHECK(heard.pieces == std::vector<std::string>{"Hello. And more", "RESTART", "Hello."});
}

TEST_CASE("a server with too much to do is asked again when it says") {
  FakeEngine engine({});
  engine.chat([](const WebRequest&, WebConnection& connection, int nth) {
    if (nth == 1) return void(connection.respond(429, "Retry-After: 7\r\n", "{}"));
    stream(connection, hello);
  });
  RemoteStage stage(engine.origin());
  const Heard heard = stage.ask(chat_prompt("x"));
  CHECK(heard.answer().text == "Hello.");
  CHECK(std::ranges::count(stage.host.delays, 7000ms) == 1);
  CHECK(stage.changes == 1);  // it was there all the time
}

TEST_CASE("requests wait for a server that is away; completions do not") {
  std::atomic<bool> back = false;
  FakeEngine engine({});
  engine.models([&](const WebRequest&, WebConnection& connection, int nth) {
    if (nth > 1 && !back) return void(connection.respond(503, "", "starting"));
    connection.respond(200, "", R"({"data": [{"id": "m"}]})");
  });
  engine.chat([&](const WebRequest&, WebConnection& connection, int nth) {
    if (nth == 1) return void(connection.respond(503, "Retry-After: 2\r\n", "<html>"));
    stream(connection, hello);
  });
  RemoteStage stage(engine.origin());
  Heard heard;
  stage.begin(heard, chat_prompt("x"));
  stage.wait_for(State::away);
  CHECK(stage.model->away());
  CHECK(contains(inline_failure(stage), "503"));
  CHECK_FALSE(heard.result);
  CHECK(stage.model->status().waiting == 1);
  CHECK(heard.progress.back().phase == lsp::GenerationProgress::Phase::queued);
  back = true;
  stage.host.run_until([&] { return heard.result.has_value(); });
  CHECK(heard.answer().text == "Hello.");
  CHECK(stage.model->status().state == State::ready);
}

TEST_CASE("pauses grow to a minute as long as nobody answers") {
  std::string nobody;
  { nobody = FakeEngine({}).origin(); }
  RemoteStage stage(nobody);
  stage.host.run_until([&] { return stage.host.delays.size() >= 9; });
  CHECK(std::vector(stage.host.delays.begin(), stage.host.delays.begin() + 4) ==
        std::vector<std::chrono::milliseconds>{1s, 2s, 4s, 8s});
  CHECK(stage.host.delays[8] == 60s);
  CHECK(contains(stage.model->status().why, "127.0.0.1"));
}

TEST_CASE("a silent server is given up, and asked again") {
  FakeEngine engine({});
  engine.chat([](const WebRequest&, WebConnection& connection, int nth) {
    if (nth > 1) return stream(connection, hello);
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    while (connection.waits(10ms)) {
    }
  });
  RemoteStage stage(engine.origin(), [](auto& options) { options.silence = 200ms; });
  CHECK(stage.ask(chat_prompt("x")).answer().text == "Hello.");
  CHECK(stage.model->status().retried >= 1);
}

TEST_CASE("what is no answer is an error that names the server") {
  struct Fault {
    std::vector<std::string> events;
    std::string said;
  };
  const std::vector<Fault> faults{
      {{"{\"choices\": [{"}, "no JSON"},
      {{"[1, 2]"}, "no object"},
      {{"{\"choices\": 7}"}, "no list"},
      {{"{}"}, "without \"choices\""},
      {{R"({"choices": [{"delta": {"content": 7}}]})"}, "no text"},
      {{R"({"choices": [], "usage": {"prompt_tokens": -4}})"}, "no count"},
      {{text_event("Hel"), R"({"error": {"message": "out of cats", "code": 400}})"}, "out of cats"},
      {{std::string(400, '[')}, "no JSON"},
  };
  for (const Fault& fault : faults) {
    CAPTURE(fault.said);
    FakeEngine engine({});
    engine.chat(streams(fault.events));
    RemoteStage stage(engine.origin());
    const Heard heard = stage.ask(chat_prompt("x"));
    CHECK(heard.error().kind == Kind::failed);
    CHECK(contains(heard.error().message, "127.0.0.1"));
    CHECK(contains(heard.error().message, fault.said));
    CHECK(stage.model->status().failed == 1);
  }
}

TEST_CASE("a line of 100 MB is read no further than a line may be long") {
  std::atomic<std::size_t> sent = 0;
  FakeEngine engine({});
  engine.chat([&](const WebRequest&, WebConnection& connection, int) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ");
    const std::string piece(1 << 20, 'x');
    for (int i = 0; i < 100 && connection.send(piece); ++i) sent += piece.size();
    connection.cut();
  });
  RemoteStage stage(engine.origin());
  const Heard heard = stage.ask(chat_prompt("x"));
  CHECK(contains(heard.error().message, "more than 4 MiB"));
  CHECK(sent < (std::size_t{64} << 20U));
}

TEST_CASE("a server without the model lists what it has") {
  FakeEngine::Abilities abilities;
  abilities.models = {"llama", "mistral"};
  FakeEngine engine(abilities);
  RemoteStage stage(engine.origin(), [](auto& options) { options.model = "qwen"; });
  stage.wait_for(State::refused);
  CHECK(contains(stage.model->status().why, "no model \"qwen\"; it has llama, mistral"));
  CHECK(contains(stage.ask(chat_prompt("x")).error().message, "llama, mistral"));
  CHECK(std::holds_alternative<lsp::ModelError>(stage.describe()));
  CHECK(std::ranges::count(stage.host.delays, 60s) >= 1);  // it may have it some day
}

TEST_CASE("a model that went away is looked for once") {
  FakeEngine engine({});
  engine.models([](const WebRequest&, WebConnection& connection, int nth) {
    connection.respond(200, "", json{{"data", {{{"id", nth == 1 ? "old" : "new"}}}}}.dump());
  });
  engine.chat([](const WebRequest&, WebConnection& connection, int nth) {
    if (nth == 1) return void(connection.respond(404, "", R"({"message": "no model old"})"));
    stream(connection, hello);
  });
  RemoteStage stage(engine.origin());
  CHECK(stage.ask(chat_prompt("x")).answer().by.starts_with("new at "));
  CHECK(engine.body(1)["model"] == "new");
}

TEST_CASE("a key stands nowhere but in requests, and a refused one says where it is from") {
  const std::string key = "sk-secret-123456";
  FakeEngine engine({});
  engine.models([&](const WebRequest& request, WebConnection& connection, int) {
    const std::string sent = request.header("authorization");
    connection.respond(401, "", json{{"error", {{"message", "Incorrect key: " + sent}}}}.dump());
  });
  RemoteStage stage(engine.origin(), [&](auto& options) {
    options.key = key;
    options.key_source = "model.key_file";
  });
  stage.wait_for(State::refused);
  const std::string why = stage.model->status().why;
  CHECK(contains(why, "refuses the key (model.key_file)"));
  CHECK(contains(why, "Bearer …"));
  const std::string told = why + stage.host.logged() + stage.ask(chat_prompt("x")).error().message;
  CHECK_FALSE(contains(told, key));
}

TEST_CASE("no key goes in the open, or along a redirect") {
  FakeEngine other({});
  FakeEngine engine({});
  engine.models([&](const WebRequest&, WebConnection& connection, int) {
    connection.respond(307, "Location: " + other.origin() + "/v1/models\r\n", "");
  });
  RemoteStage stage(engine.origin(), [](auto& options) { options.key = "k"; });
  stage.wait_for(State::refused);
  CHECK(contains(stage.model->status().why, "redirects to " + other.origin()));
  CHECK(other.connections() == 0);
  PromptHost host;
  daemon::RemoteOptions options;
  options.url = http::parse_url("http://gpu.example.org/v1");
  options.key = "k";
  CHECK_THROWS_WITH_AS(daemon::RemoteModel(host, options, {}), doctest::Contains("in the open"),
                       daemon::Error);
}

TEST_CASE("an answer is asked for without what a server refuses to know") {
  FakeEngine engine({});
  engine.chat([](const WebRequest& request, WebConnection& connection, int) {
    if (json::parse(request.body).contains("chat_template_kwargs")) {
      connection.respond(
          400, "", R"({"error": {"message": "Unrecognized argument: chat_template_kwargs"}})");
      return;
    }
    stream(connection, hello);
  });
  RemoteStage stage(engine.origin());
  lsp::GenerateOptions options;
  options.thinking = false;
  CHECK(stage.ask(chat_prompt("x"), options).answer().text == "Hello.");
  CHECK(engine.asked().size() == 2);
  CHECK(stage.ask(chat_prompt("x"), options).answer().text == "Hello.");
  CHECK(engine.asked().size() == 3);
}

TEST_CASE("one request that a server cannot bear is given up") {
  FakeEngine engine({});
  engine.chat([](const WebRequest&, WebConnection& connection, int) {
    connection.respond(500, "", R"({"error": {"message": "assertion failed"}})");
  });
  RemoteStage stage(engine.origin());
  const Heard heard = stage.ask(chat_prompt("x"));
  CHECK(heard.error().kind == Kind::failed);
  CHECK(contains(heard.error().message, "assertion failed"));
  CHECK_FALSE(contains(stage.host.logged(), "assertion failed"));  // it may quote the prompt
  CHECK(engine.asked().size() == 5);
  CHECK(stage.model->status().state == State::ready);
}

TEST_CASE("nothing is called back once the model is gone, and what is held ends nothing") {
  FakeEngine engine({});
  engine.chat([&](const WebRequest&, WebConnection& connection, int) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: " +
                    text_event("Hel") + "\n\n");
    while (connection.waits(10ms)) {
    }
  });
  RemoteStage stage(engine.origin());
  Heard heard;
  stage.begin(heard, chat_prompt("x"));
  stage.host.run_until([&] { return !heard.pieces.empty(); });
  stage.model->hold();
  bool posted = false;
  stage.host.post([&] { posted = true; });
  stage.host.run_until([&] { return posted; });
  CHECK_FALSE(heard.result);
  stage.model.reset();
  posted = false;
  stage.host.post([&] { posted = true; });
  stage.host.run_until([&] { return posted; });
  CHECK_FALSE(heard.result);
  CHECK(heard.pieces.size() == 1);
}
