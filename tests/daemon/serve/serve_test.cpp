// `hearth serve` as a person uses it: a real daemon, the embedded checkpoint, requests over TCP.
#include <doctest/doctest.h>
#include <poll.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/daemon/home.hpp"
#include "tests/daemon/serve/http_client.hpp"

using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::HttpClient;
using hearth::tests::HttpResult;
using nlohmann::json;

namespace {

// A daemon with an open door.
struct Door {
  explicit Door(const std::string& more = "") {
    home.configure("[serve]\nport = 0\n" + more);
    opened = home.hearth("serve");
    token = home.hearth("serve --token").out;
    while (token.ends_with('\n')) token.pop_back();
  }
  std::uint16_t port() const {
    const std::string url = home.status()["serve"]["url"];
    return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  }
  HttpClient client() const {
    HttpClient client(port());
    client.token = token;
    return client;
  }

  Home home;
  Finished opened;
  std::string token;
};

}  // namespace

TEST_CASE("the door opens, says how to come in, and keeps the daemon") {
  Door door("[daemon]\nidle_exit = \"700ms\"\n");
  CHECK(door.opened.code == 0);
  CHECK(contains(door.opened.out, "http://127.0.0.1:" + std::to_string(door.port()) + "/v1"));
  ::poll(nullptr, 0, 900);
  HttpClient stranger(door.port());
  CHECK(stranger.get("/health").json()["status"] == "ok");
  CHECK(stranger.get("/v1/models").status == 401);
  HttpClient client = door.client();
  CHECK(client.get("/v1/models").json()["data"][0]["id"] == "ember");
  CHECK(client.get("/props").json()["default_generation_settings"]["n_ctx"] == 2048);
  CHECK(contains(door.home.hearth("status").out, "serves     at http://127.0.0.1:"));
  CHECK(door.home.hearth("serve --close").code == 0);
  CHECK(client.at_end());
  door.home.wait_until_gone();  // nobody needs it any more
}

TEST_CASE("an address that lets others in has to be meant") {
  Door door("listen = \"0.0.0.0\"\n");
  CHECK(door.opened.code != 0);
  CHECK(contains(door.opened.err, "serve.plain = true says that this is meant"));
  door.home.configure("[serve]\nport = 0\nlisten = \"0.0.0.0\"\nplain = true\nopen = true\n");
  CHECK(door.home.hearth("restart").code == 0);
  CHECK(HttpClient(door.port()).get("/health").status == 200);
}

TEST_CASE("the embedded model answers a chat, whole and as a stream") {
  const Door door;
  HttpClient client = door.client();
  json body{{"messages",
             {{{"role", "user"},
               {"content",
                "def is_even(n):\n    return n % 2 == 0\n\nExplain what this code "
                "does."}}}},
            {"temperature", 0},
            {"max_tokens", 24}};
  const HttpResult whole = client.post("/v1/chat/completions", body);
  CHECK(whole.status == 200);
  const json message = whole.json()["choices"][0]["message"];
  CHECK(message["content"].get<std::string>().size() > 5);
  body["stream"] = true;
  const HttpResult stream = client.post("/v1/chat/completions", body);
  CHECK(stream.headers.at("content-type") == "text/event-stream");
  std::string text;
  const auto events = stream.events();
  REQUIRE(events.size() > 3);
  CHECK(events.back() == "[DONE]");
  for (std::size_t i = 0; i + 1 < events.size(); ++i)
    text += json::parse(events[i])["choices"][0]["delta"].value("content", "");
  CHECK(message["content"] == text);
  // What was read before is not read again.
  body["stream"] = false;
  const json usage = client.post("/v1/chat/completions", body).json()["usage"];
  CHECK(usage["prompt_tokens_details"]["cached_tokens"].get<int>() + 8 >=
        usage["prompt_tokens"].get<int>());
}

TEST_CASE("the embedded model writes JSON where it has to") {
  const Door door;
  HttpClient client = door.client();
  const json body{
      {"messages", {{{"role", "user"}, {"content", "def f(x): return x"}}}},
      {"max_tokens", 200},
      {"seed", 5},
      {"response_format",
       {{"type", "json_schema"},
        {"json_schema",
         {{"name", "n"},
          {"schema",
           {{"type", "object"},
            {"properties",
             {{"kind", {{"enum", {"function", "class"}}}}, {"pure", {{"type", "boolean"}}}}},
            {"required", {"kind", "pure"}},
            {"additionalProperties", false}}}}}}}};
  const json choice = client.post("/v1/chat/completions", body).json()["choices"][0];
  CHECK(choice["finish_reason"] == "stop");
  const json written = json::parse(choice["message"]["content"].get<std::string>());
  CHECK(written.size() == 2);
  CHECK(written["pure"].is_boolean());
  CHECK((written["kind"] == "function" || written["kind"] == "class"));
}

TEST_CASE("a client that breaks off frees the model") {
  const Door door;
  {
    HttpClient client = door.client();
    json body{{"prompt", "def f"}, {"max_tokens", 1900}, {"logit_bias", json::object()}};
    const json ends = {{"content", "<|im_end|><|endoftext|><|fim_pad|><|repo_name|><|file_sep|>"}};
    const json tokens = client.post("/tokenize", ends).json()["tokens"];
    for (const json& token : tokens)
      body["logit_bias"][token.dump()] = -100;  // it does not end by itself
    client.send(client.request_text("POST", "/v1/completions", "", body.dump()));
    while (door.home.status()["model"]["answerTokens"].get<int>() < 1) ::poll(nullptr, 0, 2);
  }
  while (door.home.status()["model"]["waiting"] != 0) ::poll(nullptr, 0, 2);
  CHECK(door.home.status()["model"]["cancelled"] == 1);
}
