// POST /v1/chat/completions: what clients send, and what they expect to get.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/daemon/serve/api_stage.hpp"

using namespace hearth;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using tests::ApiStage;

namespace {

constexpr const char* chat = "/v1/chat/completions";

json question(json more = json::object()) {
  json body{{"model", "scripted"}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}};
  body.update(more);
  return body;
}

std::string said_by(const lsp::Message& message) {
  return lsp::text_of(message.segments);
}

}  // namespace

TEST_CASE("a chat is answered whole, with what it cost") {
  ApiStage stage;
  const auto request = stage.post(chat, question());
  REQUIRE(stage.model.asked.size() == 1);
  const auto& asked = stage.model.asked.front();
  CHECK(asked.options.priority == lsp::Priority::background);
  CHECK(asked.options.keep_turns);
  CHECK(asked.options.sampling == lsp::Sampling::recommended);
  stage.model.say("Hel");
  stage.model.say("lo");
  CHECK_FALSE(request->ended);
  stage.model.end(lsp::FinishReason::stop, "hm");
  CHECK(request->status == 200);
  const json result = request->json();
  CHECK(result["object"] == "chat.completion");
  CHECK(result["model"] == "scripted");
  CHECK(result["created"] == 1'700'000'000);
  CHECK(result["choices"][0]["message"] == json{{"role", "assistant"},
                                                {"content", "Hello"},
                                                {"refusal", nullptr},
                                                {"reasoning_content", "hm"}});
  CHECK(result["choices"][0]["finish_reason"] == "stop");
  CHECK(result["usage"]["prompt_tokens"] == 10);
  CHECK(result["usage"]["completion_tokens"] == 7);
  CHECK(result["usage"]["total_tokens"] == 17);
  CHECK(result["usage"]["prompt_tokens_details"]["cached_tokens"] == 6);
  CHECK(result["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2);
  CHECK_FALSE(asked.cancelled);
}

TEST_CASE("a stream has the role first, one id, the thought apart, and an end") {
  ApiStage stage;
  const auto request =
      stage.post(chat, question({{"stream", true}, {"stream_options", {{"include_usage", true}}}}));
  stage.model.asked.front().events.on_thought("hm");
  stage.model.say("Hel");
  stage.model.say("lo");
  stage.model.end(lsp::FinishReason::length);
  CHECK(request->header("Content-Type") == "text/event-stream");
  CHECK(request->ended);
  const auto events = request->events();
  REQUIRE(events.size() == 7);
  CHECK(events[0]["choices"][0]["delta"] == json{{"role", "assistant"}, {"content", ""}});
  CHECK(events[1]["choices"][0]["delta"] == json{{"reasoning_content", "hm"}});
  CHECK(events[2]["choices"][0]["delta"] == json{{"content", "Hel"}});
  CHECK(events[3]["choices"][0]["delta"] == json{{"content", "lo"}});
  CHECK(events[3]["choices"][0]["finish_reason"] == nullptr);
  CHECK(events[4]["choices"][0]["delta"] == json::object());
  CHECK(events[4]["choices"][0]["finish_reason"] == "length");
  CHECK(events[4]["usage"] == nullptr);
  CHECK(events[5]["choices"] == json::array());
  CHECK(events[5]["usage"]["prompt_tokens"] == 10);
  CHECK(events[6] == "[DONE]");
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    CHECK(events[i]["id"] == events[0]["id"]);
    CHECK(events[i]["object"] == "chat.completion.chunk");
  }
}

TEST_CASE("messages are taken in the forms that clients send") {
  ApiStage stage;
  const auto request = stage.post(
      chat, {{"messages",
              {{{"role", "developer"}, {"content", "Be brief."}},
               {{"role", "system"},
                {"content",
                 {{{"type", "text"}, {"text", "Be "}}, {{"type", "text"}, {"text", "kind."}}}}},
               {{"role", "user"}, {"content", "one"}, {"name", "ada"}},
               {{"role", "assistant"}, {"content", {{{"type", "refusal"}, {"refusal", "no"}}}}},
               {{"role", "user"}, {"content", "two"}}}}});
  REQUIRE(stage.model.asked.size() == 1);
  const auto& messages = stage.model.asked.front().prompt.messages;
  REQUIRE(messages.size() == 4);
  CHECK(messages[0].role == lsp::Role::system);
  CHECK(said_by(messages[0]) == "Be brief.\n\nBe kind.");
  CHECK(said_by(messages[1]) == "one");
  CHECK(messages[2].role == lsp::Role::assistant);
  CHECK(said_by(messages[2]) == "no");
  CHECK(said_by(messages[3]) == "two");
}

TEST_CASE("what a request says of its answer reaches the model") {
  ApiStage stage;
  const auto request =
      stage.post(chat, question({{"max_tokens", 900},
                                 {"max_completion_tokens", 40},
                                 {"stop", "END"},
                                 {"seed", 7},
                                 {"temperature", 0.5},
                                 {"top_p", 0.25},
                                 {"presence_penalty", 1},
                                 {"frequency_penalty", -0.5},
                                 {"logit_bias", {{"17", -100}}},
                                 {"chat_template_kwargs", {{"enable_thinking", false}}},
                                 {"reasoning_effort", "high"},
                                 {"user", "ada"},
                                 {"parallel_tool_calls", true},
                                 {"n", 1}}));
  const lsp::GenerateOptions& options = stage.model.asked.at(0).options;
  CHECK(options.max_tokens == 40);
  CHECK(options.max_all_tokens == 40);
  CHECK(options.stop_strings == std::vector<std::string>{"END"});
  CHECK(options.seed == 7);
  CHECK(options.thinking == false);
  CHECK(options.sampling_choice.temperature == 0.5F);
  CHECK(options.sampling_choice.top_p == 0.25F);
  CHECK(options.sampling_choice.presence_penalty == 1.0F);
  CHECK(options.sampling_choice.frequency_penalty == -0.5F);
  CHECK(options.sampling_choice.bias == std::map<std::int32_t, float>{{17, -100.0F}});
  const auto other =
      stage.post(chat, question({{"reasoning_effort", "none"}, {"stop", {"a", "b"}}}));
  CHECK(stage.model.asked.at(1).options.thinking == false);
  CHECK(stage.model.asked.at(1).options.stop_strings.size() == 2);
  CHECK(stage.model.asked.at(1).options.seed != 7);  // any
}

TEST_CASE("what cannot be served is refused by its name, before anything is asked") {
  ApiStage stage;
  const auto refused = [&](const json& body, int status, const std::string& param,
                           const std::string& code) {
    CAPTURE(body.dump());
    const auto request = stage.post(chat, body);
    CHECK(request->status == status);
    CHECK(request->error()["param"] == (param.empty() ? json() : json(param)));
    CHECK(request->error()["code"] == code);
    CHECK(request->error()["message"].get<std::string>().size() > 10);
  };
  const auto message = [](json content) {
    return json{{"messages", {{{"role", "user"}, {"content", std::move(content)}}}}};
  };
  refused(question({{"n", 2}}), 400, "n", "unsupported_parameter");
  refused(question({{"grammar", "root ::= x"}}), 400, "grammar", "unsupported_parameter");
  refused(question({{"top_logprobs", 2}}), 400, "top_logprobs", "invalid_value");
  refused(question({{"functions", {{{"name", "f"}}}}}), 400, "functions", "unsupported_parameter");
  refused(message({{{"type", "image_url"}, {"image_url", {{"url", "data:…"}}}}}), 400,
          "messages.0.content.0", "unsupported_parameter");
  refused(message(17), 400, "messages.0.content", "invalid_value");
  refused({{"messages", {{{"role", "robot"}, {"content", "x"}}}}}, 400, "messages.0.role",
          "invalid_value");
  refused({{"messages", json::array()}}, 400, "messages", "invalid_value");
  refused(json::object(), 400, "messages", "invalid_value");
  refused({{"messages", {17}}}, 400, "messages.0", "invalid_value");
  refused(question({{"temperature", -1}}), 400, "temperature", "invalid_value");
  refused(question({{"temperature", "hot"}}), 400, "temperature", "invalid_value");
  refused(question({{"seed", 1.5}}), 400, "seed", "invalid_value");
  refused(question({{"stop", {1}}}), 400, "stop", "invalid_value");
  refused(question({{"logit_bias", {{"x", 1}}}}), 400, "logit_bias", "invalid_value");
  refused(question({{"stream", "yes"}}), 400, "stream", "invalid_value");
  refused(question({{"reasoning_effort", "much"}}), 400, "reasoning_effort", "invalid_value");
  refused(question({{"model", "gpt-4"}}), 404, "model", "model_not_found");
  CHECK(stage.model.asked.empty());
  stage.model.context = 2;
  refused(question(), 400, "messages", "context_length_exceeded");
  stage.model.refusal = "the template takes no such thing";
  refused(question(), 400, "messages", "invalid_prompt");
  CHECK(stage.model.asked.empty());

  const auto broken = stage.ask("POST", chat, "{");
  CHECK(broken->error()["code"] == "invalid_json");
  CHECK(stage.ask("POST", chat, "[]")->status == 400);
  CHECK(stage.ask("GET", chat, "")->status == 405);
  CHECK(stage.ask("GET", "/v2", "")->error()["code"] == "unknown_url");
}

TEST_CASE("an answer is bound to a form where one is asked for") {
  ApiStage stage;
  const auto bound = [&](const json& format) {
    const auto request = stage.post(chat, question({{"response_format", format}}));
    return request->ended ? request->error()["param"].get<std::string>()
                          : stage.model.asked.back().options.json_schema;
  };
  CHECK(bound({{"type", "text"}}).empty());
  CHECK(bound({{"type", "json_object"}}) == R"({"type": "object"})");
  CHECK(bound({{"type", "yaml"}}) == "response_format.type");
  CHECK(bound({{"type", "json_schema"}}) == "response_format.json_schema.schema");
  CHECK(bound({{"type", "json_schema"},
               {"json_schema", {{"schema", {{"type", "string"}, {"pattern", "x"}}}}}}) ==
        "response_format.json_schema.schema");
  // In the order in which the client has them.
  const std::string schema =
      R"({"type":"object","properties":{"z":{"type":"string"},"a":{"type":"null"}}})";
  const auto ordered = stage.ask(
      "POST", chat,
      R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema",)"
      R"("json_schema":{"name":"n","strict":true,"schema":)" +
          schema + "}}}");
  CHECK(stage.model.asked.back().options.json_schema == schema);
}

TEST_CASE("the model goes by its name, its folder's, and what its user calls it") {
  ApiStage stage;
  stage.api.configure({lsp::Priority::explicit_request, {"gpt-4o"}});
  for (const char* name : {"scripted", "scripted-1B", "gpt-4o", "hearth", ""}) {
    const auto request = stage.post(chat, question({{"model", name}}));
    CHECK_FALSE(request->ended);
  }
  CHECK(stage.model.asked.at(0).options.priority == lsp::Priority::explicit_request);
  CHECK(stage.ask("GET", "/v1/models", "")->json()["data"].size() == 2);
  CHECK(stage.ask("GET", "/v1/models/gpt-4o", "")->json()["id"] == "gpt-4o");
  CHECK(stage.ask("GET", "/v1/models/other", "")->status == 404);
}

TEST_CASE("whoever waits long gets headers, then blanks or comments, and what they asked for") {
  ApiStage stage;
  const auto whole = stage.post(chat, question());
  stage.host.pass(milliseconds(9'999));
  CHECK(whole->status == 0);
  stage.host.pass(milliseconds(1));
  CHECK(whole->status == 200);
  CHECK(whole->header("Content-Type") == "application/json");
  CHECK(whole->body.empty());
  stage.host.pass(seconds(20));
  CHECK(whole->body == "  ");
  stage.model.say("late");
  stage.model.end();
  CHECK(whole->ended);
  CHECK(whole->json()["choices"][0]["message"]["content"] == "late");

  const auto stream = stage.post(chat, question({{"stream", true}}));
  lsp::GenerationProgress queued;
  queued.ahead = 2;
  queued.eta = seconds(40);
  stage.model.asked.back().events.on_progress(queued);
  CHECK(stream->header("X-Hearth-Queue-Position") == "2");
  CHECK(stream->header("X-Hearth-Eta-Ms") == "40000");
  stage.host.pass(milliseconds(9'999));
  const std::size_t begun = stream->body.size();
  stage.host.pass(milliseconds(1));
  CHECK(stream->body.substr(begun) == ": 2 requests go before, 40 s left\n\n");
  stage.host.pass(seconds(20));
  CHECK(stream->body.size() ==
        begun + 3 * std::string(": 2 requests go before, 40 s left\n\n").size());
  const std::size_t waited = stream->body.size();
  for (int i = 0; i < 40; ++i) {
    stage.model.say("x");
    stage.host.pass(seconds(1));
  }
  CHECK(stream->body.find("\n: ", waited) == std::string::npos);  // it is not silent
  stage.model.end();
  CHECK(stream->events().size() == 43);  // nothing but role, texts, end and mark
}

TEST_CASE("the headers of a stream wait a moment for the queue, and no longer") {
  ApiStage stage;
  const auto stream = stage.post(chat, question({{"stream", true}}));
  CHECK(stream->status == 0);
  stage.host.pass(milliseconds(300));
  CHECK(stream->status == 200);
  CHECK(stream->header("X-Hearth-Queue-Position") == "0");
}

TEST_CASE("a client that goes stops its computation, and leaves no timer") {
  ApiStage stage;
  auto request = stage.post(chat, question({{"stream", true}}));
  stage.model.say("x");
  CHECK_FALSE(stage.model.asked.front().cancelled);
  request.work.reset();
  CHECK(stage.model.asked.front().cancelled);
  stage.model.say("y");  // too late, and nowhere to go
  CHECK(stage.host.timers() == 0);
}

TEST_CASE("a failure is told in the way that is left") {
  ApiStage stage;
  const lsp::ModelError gone{"hearth is stopping", lsp::ModelError::Kind::cancelled};
  const auto early = stage.post(chat, question());
  stage.model.asked.back().events.on_done(gone);
  CHECK(early->status == 503);
  CHECK(early->error()["type"] == "server_error");
  const auto stream = stage.post(chat, question({{"stream", true}}));
  stage.model.say("x");
  stage.model.asked.back().events.on_done(gone);
  CHECK(stream->ended);
  CHECK(stream->events().back()["error"]["message"] == "hearth is stopping");
  const auto late = stage.post(chat, question());
  stage.host.pass(seconds(20));
  stage.model.asked.back().events.on_done(lsp::ModelError{"too many requests are waiting"});
  CHECK(late->error()["type"] == "rate_limit_error");
}

TEST_CASE("progress is told to those that ask for it") {
  ApiStage stage;
  const auto request = stage.post(chat, question({{"stream", true}, {"return_progress", true}}));
  lsp::GenerationProgress reads;
  reads.phase = lsp::GenerationProgress::Phase::prefilling;
  reads.prompt_tokens = 100;
  reads.cached_tokens = 40;
  reads.prompt_done = 70.5;
  stage.host.pass(milliseconds(250));
  stage.model.asked.back().events.on_progress(reads);
  const json event = request->events().at(1);
  CHECK(event["prompt_progress"] ==
        json{{"total", 100}, {"cache", 40}, {"processed", 70}, {"time_ms", 250}});
  CHECK(event["choices"][0]["delta"] == json::object());
}

TEST_CASE("probabilities come with the text of their tokens") {
  ApiStage stage;
  const auto told = [&] {
    stage.model.asked.back().events.on_probabilities({{"H", -0.5F, {{"H", -0.5F}, {"h", -1.0F}}}});
    stage.model.say("H");
    stage.model.end();
  };
  const auto whole = stage.post(chat, question({{"logprobs", true}, {"top_logprobs", 2}}));
  CHECK(stage.model.asked.back().options.top_probabilities == 2);
  told();
  const json first = whole->json()["choices"][0]["logprobs"]["content"][0];
  CHECK(first["token"] == "H");
  CHECK(first["bytes"] == json{72});
  CHECK(first["logprob"] == -0.5);
  CHECK(first["top_logprobs"][1]["token"] == "h");
  const auto stream = stage.post(chat, question({{"logprobs", true}, {"stream", true}}));
  CHECK(stage.model.asked.back().options.top_probabilities == 0);
  told();
  CHECK(stream->events().at(1)["choices"][0]["logprobs"]["content"].size() == 1);
  CHECK(stream->events().at(2)["choices"][0]["logprobs"] == nullptr);
}

TEST_CASE("a chat without a token to write is read ahead of need, as llama.vim asks") {
  ApiStage stage;
  const auto request = stage.post(chat, question({{"n_predict", 0}, {"response_fields", {""}}}));
  CHECK(stage.model.asked.empty());
  CHECK(stage.model.prefilled.size() == 1);
  CHECK(request->json()["usage"]["prompt_tokens"] == 10);
  CHECK(request->json()["choices"][0]["message"]["content"] == "");
}

TEST_CASE("tokens there and back") {
  ApiStage stage;
  CHECK(stage.post("/tokenize", {{"content", "ab"}})->json()["tokens"] == json{97, 98});
  const json pieces =
      stage.post("/tokenize", {{"content", "a\xc3\xa9"}, {"with_pieces", true}})->json();
  CHECK(pieces["tokens"][0] == json{{"id", 97}, {"piece", "a"}});
  CHECK(pieces["tokens"][1] == json{{"id", 195}, {"piece", {195}}});  // half a character
  CHECK(stage.post("/detokenize", {{"tokens", {104, 105}}})->json()["content"] == "hi");
  CHECK(stage.post("/detokenize", {{"tokens", {-1}}})->error()["param"] == "tokens");
  CHECK(stage.post("/detokenize", json::object())->status == 400);
  CHECK(stage.post("/tokenize", json::object())->error()["param"] == "content");
  CHECK(stage.ask("GET", "/health", "")->json()["status"] == "ok");
  stage.status.state = daemon::ModelStatus::State::loading;
  CHECK(stage.ask("GET", "/health", "")->status == 503);
}
