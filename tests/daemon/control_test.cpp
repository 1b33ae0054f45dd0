// Requests of control connections, without a process around them.
#include "daemon/control.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/models/local.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "tests/daemon/queue_host.hpp"

using namespace hearth;
using namespace hearth::daemon;
using nlohmann::json;

namespace {

struct Stage {
  std::unique_ptr<Peer> open() {
    return control.open([this](const std::string& body) { said.push_back(json::parse(body)); });
  }

  tests::QueueHost host;
  LocalModel model{host, [] {
                     engine::EngineOptions options;
                     options.model = HEARTH_SOURCE_DIR "/engine/ember";
                     options.host().threads = 2;
                     return options;
                   }()};
  lsp::MemoryJobStore store{host};
  lsp::Jobs jobs{host, model, store};
  int used = 0;
  std::vector<json> said;
  Control control{
      host,
      model,
      jobs,
      {.status = [] { return json(17); }, .stop = {}, .used = [this] { ++used; }, .forget = {}}};
};

const json generation{
    {"request", "generate"},
    {"prompt", {{"kind", "text"}, {"prefix", {{{"text", "def f"}, {"provenance", "file"}}}}}},
    {"options", {{"maxTokens", 8}}}};

}  // namespace

TEST_CASE("a generation counts as use of the daemon, from its beginning to its end") {
  Stage stage;
  auto peer = stage.open();
  peer->receive(R"({"request": "status"})");
  CHECK(stage.said.back() == json{{"result", 17}});
  CHECK(stage.used == 0);
  peer->receive(generation.dump());
  CHECK(stage.used == 1);
  stage.host.run_until(
      [&] { return stage.said.back().contains("result") && stage.said.size() > 1; });
  CHECK(stage.said.back()["result"]["answerTokens"] == 8);
  CHECK(stage.said[1].contains("progress"));
  peer.reset();
  CHECK(stage.used == 2);
  CHECK(stage.model.status().cancelled == 0);
}

TEST_CASE("a connection that goes takes its generation with it, and hears nothing more") {
  Stage stage;
  auto peer = stage.open();
  peer->receive(generation.dump());
  peer.reset();
  const std::size_t said = stage.said.size();
  auto next = stage.open();
  next->receive(generation.dump());
  stage.host.run_until([&] { return !stage.said.empty() && stage.said.back().contains("result"); });
  CHECK(stage.said[said].contains("progress"));  // the other's
  CHECK(stage.model.status().cancelled == 1);
  CHECK(stage.model.status().requests == 2);
}

TEST_CASE("requests are answered in turn, whatever is under way") {
  Stage stage;
  auto peer = stage.open();
  peer->receive(generation.dump());
  peer->receive(R"({"request": "describe"})");
  stage.host.run_until([&] { return stage.said.back().contains("result"); });
  REQUIRE(stage.said.size() == 2);
  CHECK(stage.said[0]["error"] == "another request came before this one was answered");
  CHECK(stage.said[1]["result"]["name"] == "ember");
  CHECK(stage.said[1]["result"]["contextTokens"] == 2048);
  peer->receive(R"({"request": "estimate", "prompt": {"kind": "text", "prefix": []}})");
  stage.host.run_until([&] { return stage.said.size() == 3; });
  CHECK(stage.said[2]["result"]["promptTokens"] == 0);
}
