// The same of turns_test.cpp on the real engine: what a turn that goes on computes, of each family
// of models and for each way in which clients send back what was written. HEARTH_LONG holds the
// whole conversation: ten turns, thoughts of 200 to 2,000 tokens, 12,000 to 19,000 at the end.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/platform/files.hpp"
#include "daemon/serve/api.hpp"
#include "engine/dummy/dummy.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/daemon/serve/scripted_model.hpp"

using namespace hearth;
using nlohmann::json;

namespace {

struct Size {
  int turns = 0;
  std::int64_t least_thought = 0;
  std::int64_t most_thought = 0;
  int answer = 0;   // most tokens
  int result = 0;   // lines of a tool's result, or of a question
  int context = 0;  // of the model
};
constexpr Size short_one{6, 8, 40, 150, 2, 4096};
constexpr Size long_one{10, 200, 2000, 400, 40, 20'480};

// A small model with random weights, after the plan of a family, that thinks until its budget ends.
class Checkpoint {
 public:
  Checkpoint(engine::ModelConfig config, const std::string& chat_template, const Size& size) {
    engine::DummyOptions dummy;
    dummy.out = directory_.path() / "dummy";
    dummy.config = std::move(config);
    dummy.config.max_position_embeddings = size.context;
    dummy.tokenizer = tests::ember().model;
    engine::write_dummy(dummy);
    daemon::write_file(dummy.out / "hearth.json", R"({"thinking": true})");
    if (!chat_template.empty())
      daemon::write_file(dummy.out / "chat_template.jinja", chat_template);
  }
  engine::EngineOptions options() const {
    engine::EngineOptions options = tests::ember();
    options.model = directory_.path() / "dummy";
    return options;
  }

 private:
  tests::TemporaryDirectory directory_;
};

// What a client makes of the messages that it has, before it sends them.
struct Way {
  std::string name;
  std::function<void(json& messages, int turn)> change;
  bool keeps_beginning = true;
};

void each_call(json& messages, const std::function<void(json&)>& change) {
  for (json& message : messages) {
    if (!message.contains("tool_calls")) continue;
    for (json& call : message["tool_calls"]) change(call);
  }
}

std::vector<Way> ways() {
  return {
      {"whole", [](json&, int) {}},
      {"without reasoning_content",
       [](json& messages, int) {
         for (json& message : messages) message.erase("reasoning_content");
       }},
      {"arguments written anew",
       [](json& messages, int) {
         each_call(messages, [](json& call) {
           const json all = json::parse(call["function"]["arguments"].get<std::string>());
           call["function"]["arguments"] = "{ \"path\" :" + all["path"].dump() +
                                           ",\n\"depth\": " + all["depth"].dump() + ".0 }";
         });
       }},
      {"contents trimmed",
       [](json& messages, int) {
         for (json& message : messages) {
           if (message["role"] != "assistant" || !message["content"].is_string()) continue;
           std::string text = message["content"];
           text.erase(0, std::min(text.find_first_not_of(" \n"), text.size()));
           text.erase(text.find_last_not_of(" \n") + 1);
           message["content"] = text;
         }
       }},
      {"ids renamed",
       [](json& messages, int) {
         int number = 0;
         each_call(messages,
                   [&](json& call) { call["id"] = "renamed" + std::to_string(++number); });
       }},
      {"a system message that carries the date",
       [](json& messages, int turn) {
         messages[0]["content"] = "Today is day " + std::to_string(turn) + ".";
       },
       false},
  };
}

json tool() {
  const json parameters{{"type", "object"},
                        {"properties",
                         {{"path", {{"enum", {"src/a.py", "src/b.py", "README.md"}}}},
                          {"depth", {{"enum", {1, 2, 30}}}}}},
                        {"required", {"path", "depth"}}};
  return {{"type", "function"}, {"function", {{"name", "look"}, {"parameters", parameters}}}};
}

struct Figures {
  int most = 0;    // tokens that a turn reads beyond those that are new in it
  int tokens = 0;  // at the end
  std::string log;
};

// Where there are tools, every second turn calls one; the others think.
Figures converse(const Checkpoint& checkpoint, bool with_tools, const Way& way, const Size& size) {
  tests::LocalStage stage(checkpoint.options());
  daemon::Api api(stage.host, stage.model, stage.model, [&] { return stage.model.status(); }, {});
  json messages{{{"role", "system"}, {"content", "You are a programming assistant."}}};
  Figures figures;
  for (int turn = 0; turn < size.turns; ++turn) {
    daemon::ApiOptions options;
    options.thinking_budget =
        size.least_thought + turn * 7919 % (size.most_thought - size.least_thought);
    api.configure(options);
    const bool result = messages.back().contains("tool_calls");
    std::string text;
    for (int line = 0; line < size.result; ++line)
      text += "def f" + std::to_string(turn * 100 + line) + "(x): return x\n";
    messages.push_back({{"role", result ? "tool" : "user"}, {"content", text}});
    json sent = messages;
    way.change(sent, turn);
    const bool calls = with_tools && turn % 2 == 0;
    json body{{"messages", sent},
              {"max_tokens", options.thinking_budget + size.answer},
              {"parallel_tool_calls", false},
              {"seed", turn}};
    if (with_tools) {
      body["tools"] = json::array({tool()});
      body["tool_choice"] = calls ? "required" : "auto";
    }
    const auto reply = std::make_shared<tests::KeptReply>();
    daemon::HttpRequest request;
    request.head = {"POST", "/v1/chat/completions", "", "", ""};
    request.body = body.dump();
    const auto work = api.handle(std::move(request), reply);
    stage.host.run_until([&] { return reply->ended; });
    CAPTURE(reply->body);
    REQUIRE(reply->status == 200);
    const json answer = reply->json();
    messages.push_back(answer["choices"][0]["message"]);
    CHECK(messages.back().contains("tool_calls") == calls);
    const json& usage = answer["usage"];
    const int cached = usage["prompt_tokens_details"]["cached_tokens"];
    if (turn > 0) figures.most = std::max(figures.most, figures.tokens - cached);
    figures.tokens = usage["total_tokens"];
  }
  figures.log = stage.host.logged();
  return figures;
}

}  // namespace

TEST_CASE("a turn reads what is new in it, however its client sends back what was written") {
  const Size size = std::getenv("HEARTH_LONG") != nullptr ? long_one : short_one;
  const engine::ModelConfig next = engine::tiny_config(128, 4, 8);
  engine::ModelConfig mixture = next;
  mixture.delta_layout = engine::DeltaLayout::plain;
  engine::ModelConfig dense = mixture;
  dense.num_experts = dense.num_experts_per_tok = 0;
  dense.moe_intermediate_size = dense.shared_expert_intermediate_size = 0;
  dense.intermediate_size = 256;
  struct Family {
    std::string name;
    engine::ModelConfig config;
    std::string chat_template;  // empty: one without tools
  };
  for (const Family& family : {Family{"Qwen3-Next", next, ""},
                               Family{"Qwen3-Next with tools", next, tests::template_with_switch},
                               Family{"Qwen3.5, a mixture", mixture, tests::template_with_switch},
                               Family{"Qwen3.5, dense", dense, tests::template_with_switch}}) {
    CAPTURE(family.name);
    const bool with_tools = !family.chat_template.empty();
    const Checkpoint checkpoint(family.config, family.chat_template, size);
    for (const Way& way : ways()) {
      CAPTURE(way.name);
      const Figures figures = converse(checkpoint, with_tools, way, size);
      MESSAGE(family.name << ", " << way.name << ": at most " << figures.most
                          << " tokens read again, " << figures.tokens << " at the end");
      const bool said = figures.log.find("is read as it is sent") != std::string::npos;
      CHECK(said == !way.keeps_beginning);
      if (way.keeps_beginning) CHECK(figures.most <= 64);
    }
  }
}
