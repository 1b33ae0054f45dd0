// The same of turns_test.cpp on the real engine: what a turn that goes on computes.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "daemon/serve/api.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/daemon/serve/scripted_model.hpp"

using namespace hearth;
using nlohmann::json;

namespace {

// Tokens that a turn reads beyond those that are new in it, in a conversation with a tool, thoughts
// and results, whose client leaves the thoughts out; the most of all turns.
int most_read_again(const tests::ChangedEmber& checkpoint, bool with_tools) {
  tests::LocalStage stage(checkpoint.options());
  daemon::Api api(stage.host, stage.model, stage.model, [&] { return stage.model.status(); }, {});
  daemon::ApiOptions options;
  options.thinking_budget = 24;
  api.configure(options);
  json body{{"messages", {{{"role", "system"}, {"content", "You are a programming assistant."}}}},
            {"max_tokens", 60},
            {"seed", 3}};
  if (with_tools) {
    body["tools"] = {{{"type", "function"},
                      {"function", {{"name", "look"}, {"parameters", {{"type", "object"}}}}}}};
  }
  int most = 0;
  int before = 0;
  for (int turn = 0; turn < 6; ++turn) {
    const bool result = with_tools && turn % 2 == 1;
    body["messages"].push_back({{"role", result ? "tool" : "user"},
                                {"content", "  def f" + std::to_string(turn) + "(x): return x\n"}});
    const auto reply = std::make_shared<tests::KeptReply>();
    daemon::HttpRequest request;
    request.head = {"POST", "/v1/chat/completions", "", "", ""};
    request.body = body.dump();
    const auto work = api.handle(std::move(request), reply);
    stage.host.run_until([&] { return reply->ended; });
    REQUIRE(reply->status == 200);
    const json answer = reply->json();
    json message = answer["choices"][0]["message"];
    message.erase("reasoning_content");
    if (message["content"].is_string()) {  // as some clients do
      std::string text = message["content"];
      message["content"] = text.substr(0, text.find_last_not_of(" \n") + 1);
    }
    body["messages"].push_back(message);
    const json& usage = answer["usage"];
    const int prompt = usage["prompt_tokens"];
    const int cached = usage["prompt_tokens_details"]["cached_tokens"];
    if (turn > 0) most = std::max(most, before - cached);
    before = prompt + usage["completion_tokens"].get<int>();
  }
  CHECK(stage.host.logged().find("is read as it is sent") == std::string::npos);
  return most;
}

}  // namespace

TEST_CASE("a turn reads what is new in it, though its client leaves the thoughts out") {
  CHECK(most_read_again(tests::thinking_ember(tests::template_with_switch), true) <= 64);
  CHECK(most_read_again(tests::thinking_ember(), false) <= 64);
}
