// `hearth bench --url`, against a server that says what the test wants.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/daemon/home.hpp"
#include "tests/daemon/remote/fake_engine.hpp"

using namespace hearth::tests;

namespace {

// What was read before is known.
FakeEngine::Answer caching() {
  return [](const WebRequest&, WebConnection& connection, int nth) {
    stream(connection, {text_event("a"), text_event("b"), finish_event("length"),
                        usage_event(500, 40, nth % 2 == 0 ? 490 : 0)});
  };
}

}  // namespace

TEST_CASE("a server is measured by answers to new prompts and to the same again") {
  FakeEngine engine({});
  engine.chat(caching());
  const Home home;
  const Finished shown = home.hearth("bench --rounds 3 --url " + engine.origin());
  CAPTURE(shown.err);
  CHECK(shown.code == 0);
  CHECK(contains(shown.out, "qwen3-coder at " + engine.origin() + "/v1 (vLLM)"));
  CHECK(contains(shown.out, "0 % cached"));
  CHECK(contains(shown.out, "98 % cached"));
  CHECK(engine.asked().size() == 6);
  CHECK(engine.body(0) == engine.body(1));
  CHECK(engine.body(0) != engine.body(2));
  CHECK(engine.body(0)["max_tokens"] == 40);

  const Finished json =
      home.hearth_of(program(), "bench --json --rounds 1 --tokens 7 --url " + engine.origin(),
                     {{"HEARTH_API_KEY", "sk-1"}});
  CAPTURE(json.err);
  const auto result = nlohmann::json::parse(json.out);
  CHECK(result["model"] == "qwen3-coder");
  CHECK(result["again"]["cachedShare"] == doctest::Approx(0.98));
  CHECK(engine.asked().back().header("authorization") == "Bearer sk-1");
  CHECK(engine.body(6)["max_tokens"] == 7);
}

TEST_CASE("a server is measured alone, and one that refuses says why") {
  FakeEngine engine({});
  engine.chat([](const WebRequest&, WebConnection& connection, int) {
    connection.respond(400, "", R"({"error": {"message": "no chats today"}})");
  });
  const Home home;
  CHECK(home.hearth("bench --copy --url " + engine.origin()).code == 2);
  CHECK(home.hearth("bench --depths 0 --url " + engine.origin()).code == 2);
  CHECK(home.hearth("bench --rounds 3").code == 2);
  const Finished refused = home.hearth("bench --url " + engine.origin());
  CHECK(refused.code == 1);
  CHECK(contains(refused.err, "no chats today"));
}
