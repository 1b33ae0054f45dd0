// /v1/completions as OpenAI has it, /infill as llama.cpp's server and its editors' plugins have it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/serve/completion_request.hpp"
#include "tests/daemon/serve/api_stage.hpp"

using namespace hearth;
using nlohmann::json;
using std::chrono::milliseconds;
using tests::ApiStage;

namespace {

constexpr const char* completions = "/v1/completions";

std::vector<std::int32_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

// As llama.vim sends it.
json llama_vim() {
  return {{"id_slot", 0},
          {"input_prefix", "def f(x):\n"},
          {"input_suffix", "\n"},
          {"input_extra", {{{"filename", "a.py"}, {"text", "def g(): pass"}}}},
          {"prompt", "    return "},
          {"n_predict", 128},
          {"n_indent", 4},
          {"top_k", 40},
          {"top_p", 0.99},
          {"stream", false},
          {"samplers", {"top_k", "top_p", "infill"}},
          {"cache_prompt", true},
          {"t_max_prompt_ms", 500},
          {"t_max_predict_ms", 1000},
          {"response_fields",
           {"content", "timings/prompt_n", "timings/predicted_ms", "truncated", "no/such"}}};
}

}  // namespace

TEST_CASE("a completion goes on with a text, or with tokens") {
  ApiStage stage;
  const auto text = stage.post(completions, {{"prompt", "def "}});
  CHECK(stage.model.asked.at(0).prompt.kind == lsp::Prompt::Kind::text);
  CHECK(stage.model.asked.at(0).prompt.tokens == bytes_of("def "));
  CHECK(stage.model.asked.at(0).options.max_tokens == 16);
  stage.model.say("f");
  stage.model.end(lsp::FinishReason::length);
  CHECK(text->json()["object"] == "text_completion");
  CHECK(text->json()["choices"][0]["text"] == "f");
  CHECK(text->json()["choices"][0]["finish_reason"] == "length");
  CHECK(text->json()["usage"]["completion_tokens"] == 1);

  const auto tokens = stage.post(completions, {{"prompt", {100, 101}}, {"max_tokens", 5}});
  CHECK(stage.model.asked.at(1).prompt.tokens == std::vector<std::int32_t>{100, 101});
  CHECK(stage.model.asked.at(1).options.max_tokens == 5);
  const auto list = stage.post(completions, {{"prompt", {"def "}}});
  CHECK(stage.model.asked.at(2).prompt.tokens == bytes_of("def "));

  const auto stream = stage.post(
      completions,
      {{"prompt", "x"}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  stage.model.say("y");
  stage.model.end();
  const auto events = stream->events();
  REQUIRE(events.size() == 4);
  CHECK(events[0]["choices"][0]["text"] == "y");
  CHECK(events[1]["choices"][0]["finish_reason"] == "stop");
  CHECK(events[2]["usage"]["prompt_tokens"] == 10);
  CHECK(events[3] == "[DONE]");
}

TEST_CASE("several prompts are answered one after the other, each as a choice") {
  ApiStage stage;
  const auto whole = stage.post(completions, {{"prompt", {"ab", "c"}}, {"echo", true}});
  REQUIRE(stage.model.asked.size() == 1);
  stage.model.say("1");
  stage.model.end();
  CHECK_FALSE(whole->ended);
  REQUIRE(stage.model.asked.size() == 2);
  CHECK(stage.model.asked.at(1).prompt.tokens == bytes_of("c"));
  stage.model.say("23");
  stage.model.end(lsp::FinishReason::length);
  const json result = whole->json();
  REQUIRE(result["choices"].size() == 2);
  CHECK(result["choices"][0]["text"] == "ab1");
  CHECK(result["choices"][0]["finish_reason"] == "stop");
  CHECK(result["choices"][1]["text"] == "c23");
  CHECK(result["choices"][1]["index"] == 1);
  CHECK(result["choices"][1]["finish_reason"] == "length");
  CHECK(result["usage"]["prompt_tokens"] == 20);
  CHECK(result["usage"]["completion_tokens"] == 3);

  const auto stream = stage.post(completions, {{"prompt", {{97, 98}, {99}}},
                                               {"echo", true},
                                               {"stream", true},
                                               {"stream_options", {{"include_usage", true}}}});
  for (const char* said : {"1", "2"}) {
    stage.model.say(said);
    stage.model.end();
  }
  std::vector<std::string> texts(2);
  std::vector<int> ends(2);
  const auto events = stream->events();
  for (const json& event : events) {
    if (!event.is_object() || event["choices"].empty()) continue;
    const json& choice = event["choices"][0];
    texts.at(choice["index"]) += choice["text"];
    if (!choice["finish_reason"].is_null()) ++ends.at(choice["index"]);
  }
  CHECK(texts == std::vector<std::string>{"ab1", "c2"});
  CHECK(ends == std::vector<int>{1, 1});
  CHECK(events.at(events.size() - 2)["usage"]["prompt_tokens"] == 20);
  CHECK(events.back() == "[DONE]");
}

TEST_CASE("a completion's tokens are told with how likely they were") {
  ApiStage stage;
  const auto request = stage.post(completions, {{"prompt", "x"}, {"logprobs", 1}});
  CHECK(stage.model.asked.at(0).options.top_probabilities == 1);
  stage.model.asked.at(0).events.on_probabilities(
      {{"é", -0.5F, {{"e", -0.25F}}}, {"b", -1.0F, {{"b", -1.0F}}}});
  stage.model.say("éb");
  stage.model.end();
  const json told = request->json()["choices"][0]["logprobs"];
  CHECK(told["tokens"] == json{"é", "b"});
  CHECK(told["token_logprobs"] == json{-0.5, -1.0});
  CHECK(told["top_logprobs"][0] == json{{"e", -0.25}});
  CHECK(told["text_offset"] == json{0, 1});
  const auto none = stage.post(completions, {{"prompt", "x"}});
  stage.model.end();
  CHECK(none->json()["choices"][0]["logprobs"].is_null());
}

TEST_CASE("a suffix makes a completion in the middle") {
  ApiStage stage;
  const auto request = stage.post(completions, {{"prompt", "a = "}, {"suffix", "\nb"}});
  const auto& asked = stage.model.asked.at(0);
  CHECK(asked.prompt.kind == lsp::Prompt::Kind::fill_in_the_middle);
  CHECK(lsp::text_of(asked.prompt.prefix) == "a = ");
  CHECK(lsp::text_of(asked.prompt.suffix) == "\nb");
  CHECK(asked.options.sampling == lsp::Sampling::greedy);
  stage.model.say("1");
  stage.model.end();
  CHECK(request->json()["choices"][0]["text"] == "1");
}

TEST_CASE("Continue's completion in the middle looks like a chat's answer") {
  ApiStage stage;
  const auto request =
      stage.post("/v1/fim/completions", {{"prompt", "a = "}, {"suffix", ""}, {"stream", true}});
  CHECK(stage.model.asked.at(0).prompt.kind == lsp::Prompt::Kind::fill_in_the_middle);
  CHECK(stage.model.asked.at(0).options.max_tokens > 1000);
  stage.model.say("1");
  stage.model.end();
  CHECK(request->events().at(1)["choices"][0]["delta"]["content"] == "1");
}

TEST_CASE("completions that cannot be served are refused by name") {
  ApiStage stage;
  const auto refused = [&](const char* path, const json& body, const std::string& param) {
    CAPTURE(body.dump());
    const auto request = stage.post(path, body);
    CHECK(request->status == 400);
    CHECK(request->error()["param"] == param);
  };
  refused(completions, json::object(), "prompt");
  refused(completions, {{"prompt", ""}}, "prompt");
  refused(completions, {{"prompt", {"a", "b"}}, {"suffix", "c"}}, "prompt");
  refused(completions, {{"prompt", {"a", ""}}}, "prompt");
  refused(completions, {{"prompt", {"a", 2}}}, "prompt");
  refused(completions, {{"prompt", std::vector<std::string>(129, "x")}}, "prompt");
  refused("/completion", {{"prompt", {"a", "b"}}}, "prompt");
  refused(completions, {{"prompt", {1, "b"}}}, "prompt");
  refused(completions, {{"prompt", {1.5}}}, "prompt");
  refused(completions, {{"prompt", {1}}, {"suffix", "x"}}, "suffix");
  refused(completions, {{"prompt", "x"}, {"echo", true}, {"suffix", "y"}}, "echo");
  refused(completions, {{"prompt", "x"}, {"echo", true}, {"logprobs", 0}}, "logprobs");
  refused(completions, {{"prompt", {"a", "b"}}, {"n", 2}}, "n");
  refused(completions, {{"prompt", "x"}, {"best_of", 3}}, "best_of");
  refused(completions, {{"prompt", "x"}, {"logprobs", 21}}, "logprobs");
  refused("/infill", {{"input_extra", "x"}}, "input_extra");
  refused("/infill", {{"input_extra", {"x"}}}, "input_extra.0");
  refused("/infill", {{"input_prefix", 3}}, "input_prefix");
  refused("/infill", {{"response_fields", {3}}}, "response_fields");
  CHECK(stage.model.asked.empty());
  stage.model.context = 3;
  refused(completions, {{"prompt", "long"}}, "prompt");
  refused(completions, {{"prompt", {"a", "long"}}}, "prompt");  // before the first is answered
  CHECK(stage.model.asked.empty());
}

TEST_CASE("llama.vim gets what it asks for") {
  ApiStage stage;
  const auto request = stage.post("/infill", llama_vim());
  const auto& asked = stage.model.asked.at(0);
  CHECK(lsp::text_of(asked.prompt.prefix) == "def g(): pass\n\ndef f(x):\n    return ");
  CHECK(lsp::text_of(asked.prompt.suffix) == "\n");
  CHECK(asked.options.max_tokens == 128);
  CHECK(asked.options.sampling_choice.top_k == 40);
  stage.model.say("x + 1\n    # more\n");
  CHECK_FALSE(request->ended);
  stage.model.say("\n  leaves");
  CHECK(request->ended);  // what follows would not be shown
  CHECK(asked.cancelled);
  const json result = request->json();
  CHECK(result["content"] == "x + 1\n    # more\n");
  CHECK(result.size() == 4);
  CHECK(result["truncated"] == false);
  CHECK(result.contains("timings/prompt_n"));
  CHECK(result.contains("timings/predicted_ms"));
}

TEST_CASE("an infill that takes too long is what there is of it") {
  ApiStage stage;
  const auto unread = stage.post("/infill", llama_vim());
  stage.host.pass(milliseconds(500));
  CHECK(unread->json()["content"] == "");
  CHECK(stage.model.asked.at(0).cancelled);
  const auto half = stage.post("/infill", llama_vim());
  stage.host.pass(milliseconds(400));
  stage.model.say("x");
  stage.host.pass(milliseconds(999));
  CHECK_FALSE(half->ended);
  stage.host.pass(milliseconds(1));
  CHECK(half->json()["content"] == "x");
  CHECK(half->json()["timings/predicted_ms"] == 1000);
}

TEST_CASE("no token at all only reads the prompt") {
  ApiStage stage;
  json body = llama_vim();
  body["n_predict"] = 0;
  body["t_max_prompt_ms"] = 1;  // which would leave nothing of it
  body.erase("response_fields");
  const auto request = stage.post("/infill", body);
  CHECK(stage.model.asked.empty());
  CHECK(stage.model.prefilled.size() == 1);
  CHECK(request->json()["content"] == "");
  CHECK(request->json()["tokens_evaluated"] == 10);
  CHECK(request->json()["timings"]["cache_n"] == 6);
  CHECK(request->json()["timings"]["prompt_n"] == 4);
}

TEST_CASE("a stream of infill ends with what it was, without a mark") {
  ApiStage stage;
  json body = llama_vim();
  body["stream"] = true;
  body.erase("response_fields");
  const auto request = stage.post("/infill", body);
  stage.model.say("x\n");
  stage.model.say("    y");
  stage.model.end();
  const auto events = request->events();
  REQUIRE(events.size() == 3);
  CHECK(events[0] == json{{"index", 0}, {"content", "x"}, {"stop", false}});
  CHECK(events[1] == json{{"index", 0}, {"content", "\n    y"}, {"stop", false}});
  CHECK(events[2]["stop"] == true);
  CHECK(events[2]["content"] == "");
  CHECK(events[2]["stop_type"] == "eos");
  CHECK(events[2]["timings"].contains("predicted_per_second"));
}

TEST_CASE("what a model cannot read is left out far from the cursor, and rarely at another place") {
  lsp::Prompt prompt;
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "line " + std::to_string(i) + "\n";
  std::string begin;
  int cuts = 0;
  for (int typed = 0; typed < 100; ++typed) {
    prompt.prefix = {{lines + std::string(static_cast<std::size_t>(typed), 'x')}};
    prompt.suffix = {{lines}};
    daemon::fit_fim(prompt, {100, 20});
    const std::string& before = prompt.prefix.front().text;
    CHECK(before.size() <= 300);
    CHECK(before.size() >= 200);
    CHECK(before.starts_with("line "));
    CHECK(prompt.suffix.front().text == lines.substr(0, prompt.suffix.front().text.size()));
    CHECK(prompt.suffix.front().text.size() <= 60);
    CHECK(prompt.suffix.front().text.ends_with('\n'));
    cuts += before.substr(0, 10) == begin ? 0 : 1;
    begin = before.substr(0, 10);
  }
  CHECK(cuts <= 3);
}
