// Tools: what is declared, which are called, and how calls look to a client; and answers that a
// client has begun.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/serve/tool_calls.hpp"
#include "tests/daemon/serve/api_stage.hpp"

using namespace hearth;
using daemon::Tool;
using daemon::ToolCallParser;
using daemon::ToolEvent;
using nlohmann::json;
using tests::ApiStage;

namespace {

constexpr const char* chat = "/v1/chat/completions";

json weather() {
  return {{"type", "function"},
          {"function",
           {{"name", "weather"},
            {"parameters",
             {{"type", "object"},
              {"properties",
               {{"city", {{"type", "string"}}},
                {"days", {{"type", "integer"}}},
                {"exact", {{"type", "boolean"}}},
                {"when", {{"anyOf", {{{"type", "string"}}, {{"type", "null"}}}}}},
                {"unit", {{"enum", {"null", 1}}}},
                {"more", {{"type", "object"}}},
                {"level", {{"$ref", "#/$defs/level"}}}}},
              {"$defs", {{"level", {{"type", "integer"}}}}}}}}}};
}

json question(const json& more = json::object()) {
  json body{{"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"tools", {weather()}}};
  body.update(more);
  return body;
}

constexpr const char* call =
    "<tool_call>\n<function=weather>\n<parameter=city>\nBerlin \"Mitte\"\n</parameter>\n"
    "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>";

std::vector<Tool> tools() {
  return {{"weather", weather().dump(), weather()["function"]["parameters"]}};
}

// What comes of a text in pieces of this size: its text, and calls as "name(arguments)".
std::string parsed(const std::string& text, std::size_t piece) {
  ToolCallParser parser(tools());
  std::vector<ToolEvent> events;
  const auto add = [&](const std::vector<ToolEvent>& more) {
    events.insert(events.end(), more.begin(), more.end());
  };
  for (std::size_t at = 0; at < text.size(); at += piece) add(parser.push(text.substr(at, piece)));
  add(parser.finish());
  std::string result;
  bool inside = false;
  for (const ToolEvent& event : events) {
    if (inside && event.kind != ToolEvent::Kind::arguments) result += ")";
    if (event.kind != ToolEvent::Kind::arguments) inside = event.kind == ToolEvent::Kind::call;
    result += event.kind == ToolEvent::Kind::call ? "[" + event.text + "](" : event.text;
  }
  return result + (inside ? ")" : "");
}

}  // namespace

TEST_CASE("calls are told from text, however the text comes") {
  const std::string called = R"([weather]({"city": "Berlin \"Mitte\"", "days": 3}))";
  for (const std::size_t piece : {1, 2, 3, 7, 1000}) {
    CAPTURE(piece);
    CHECK(parsed(call, piece) == called);
    CHECK(parsed(std::string("I look.\n\n") + call, piece) == "I look." + called);
    CHECK(parsed(std::string(call) + "\n" + call + "\n", piece) == called + called);
    CHECK(parsed("no call < here <tool", piece) == "no call < here <tool");
    CHECK(parsed("ends with blanks \n", piece) == "ends with blanks \n");
    CHECK(parsed("<tool_call>what else</tool_call>", piece) == "<tool_call>what else</tool_call>");
    CHECK(parsed("<tool_call>\n<function=weather>\n</function>\n</tool_call>", piece) ==
          "[weather]({})");
    // Cut off: what is complete of it.
    CHECK(parsed("<tool_call>\n<function=weather>\n<parameter=days>\n3\n</parameter>\n<param",
                 piece) == R"([weather]({"days": 3))");
    CHECK(parsed("<tool_call>\n<function=wea", piece).empty());
  }
}

TEST_CASE("a parameter is a text where its schema has texts, else JSON") {
  const auto value = [](const std::string& name, const std::string& text) {
    const std::string shown = parsed("<tool_call>\n<function=weather>\n<parameter=" + name + ">\n" +
                                         text + "\n</parameter>\n</function>\n</tool_call>",
                                     1000);
    return shown.substr(std::string("[weather](").size(),
                        shown.size() - std::string("[weather]()").size());
  };
  CHECK(value("city", "17") == R"({"city": "17"})");
  CHECK(value("city", "two\nlines\n") == R"({"city": "two\nlines\n"})");
  CHECK(value("days", "17") == R"({"days": 17})");
  CHECK(value("days", "many") == R"({"days": "many"})");
  CHECK(value("exact", "True") == R"({"exact": true})");
  CHECK(value("when", "null") == R"({"when": null})");
  CHECK(value("when", "now") == R"({"when": "now"})");
  CHECK(value("unknown", "1") == R"({"unknown": "1"})");
  CHECK(value("city", "") == R"({"city": ""})");
  CHECK(value("unit", "1") == R"({"unit": 1})");
  CHECK(value("unit", "null") == R"({"unit": "null"})");
  CHECK(value("unit", "else") == R"({"unit": "else"})");
  CHECK(value("level", "2") == R"({"level": 2})");
  // The tag inside of JSON is a part of it, where there is JSON.
  const std::string quoted = R"({"a": "</parameter>"})";
  CHECK(value("more", quoted) == "{\"more\": " + quoted + "}");
  CHECK(value("more", "none") == R"({"more": "none"})");
  CHECK(parsed("<tool_call>\n<function=weather>\n<parameter=days>many</parameter>\n</function>\n",
               1) == R"([weather]({"days": "many"}))");
}

TEST_CASE("a call is a part of the answer, whole and in chunks") {
  ApiStage stage;
  const auto whole = stage.post(chat, question());
  CHECK(json::parse(stage.model.asked.at(0).prompt.tools.at(0)) == weather());
  stage.model.say(std::string("I look.\n\n") + call);
  stage.model.end();
  const json choice = whole->json()["choices"][0];
  CHECK(choice["finish_reason"] == "tool_calls");
  CHECK(choice["message"]["content"] == "I look.");
  REQUIRE(choice["message"]["tool_calls"].size() == 1);
  const json made = choice["message"]["tool_calls"][0];
  CHECK(made["type"] == "function");
  CHECK(made["id"].get<std::string>().starts_with("call_"));
  CHECK(made["function"]["name"] == "weather");
  CHECK(json::parse(made["function"]["arguments"].get<std::string>()) ==
        json{{"city", "Berlin \"Mitte\""}, {"days", 3}});

  const auto stream = stage.post(chat, question({{"stream", true}}));
  for (const char letter : std::string(call)) stage.model.say(std::string(1, letter));
  stage.model.end();
  std::string arguments;
  std::string name;
  for (const json& event : stream->events()) {
    if (!event.is_object() || !event["choices"][0]["delta"].contains("tool_calls")) continue;
    const json part = event["choices"][0]["delta"]["tool_calls"][0];
    CHECK(part["index"] == 0);
    if (part.contains("id")) name = part["function"]["name"];
    arguments += part["function"]["arguments"];
  }
  CHECK(name == "weather");
  CHECK(json::parse(arguments) == json{{"city", "Berlin \"Mitte\""}, {"days", 3}});
  const auto events = stream->events();
  CHECK(events.at(events.size() - 2)["choices"][0]["finish_reason"] == "tool_calls");
}

TEST_CASE("tool_choice: none, auto, required, or one by its name") {
  ApiStage stage;
  const auto none = stage.post(chat, question({{"tool_choice", "none"}}));
  CHECK(stage.model.asked.back().prompt.tools.empty());
  stage.model.say(call);
  stage.model.end();
  CHECK(none->json()["choices"][0]["message"]["content"] == call);

  const auto automatic = stage.post(chat, question({{"tool_choice", "auto"}}));
  CHECK(stage.model.asked.back().prompt.tools.size() == 1);
  CHECK(stage.model.asked.back().options.written.empty());

  const std::string begun = "<tool_call>\n<function=weather>\n";
  json two = question({{"tool_choice", "required"}, {"max_tokens", 50}});
  two["tools"].push_back({{"type", "function"}, {"function", {{"name", "news"}}}});
  const auto required = stage.post(chat, two);
  CHECK(stage.model.asked.back().options.written.size() ==
        std::string("<tool_call>\n<function=").size());
  CHECK(stage.model.asked.back().options.max_tokens ==
        50 + static_cast<std::int64_t>(std::string("<tool_call>\n<function=").size()));
  CHECK(stage.model.asked.back().options.thinking == false);

  const auto named = stage.post(
      chat,
      question({{"stream", true},
                {"tool_choice", {{"type", "function"}, {"function", {{"name", "weather"}}}}}}));
  CHECK(stage.model.asked.back().options.written.size() == begun.size());
  CHECK(stage.model.asked.back().options.stop_strings.empty());  // its form has an end
  stage.model.said = begun;
  stage.model.say("<parameter=days>\n2\n</parameter>\n</function>\n");
  stage.model.end();
  const auto events = named->events();
  CHECK(events.at(0)["choices"][0]["delta"]["content"] == nullptr);
  CHECK(events.at(1)["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "weather");
  CHECK(events.at(2)["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] ==
        R"({"days": 2)");

  const auto refused = [&](const json& choice, const std::string& param) {
    const auto request = stage.post(chat, question({{"tool_choice", choice}}));
    CHECK(request->error()["param"] == param);
  };
  refused("sometimes", "tool_choice");
  refused({{"type", "function"}, {"function", {{"name", "news"}}}}, "tool_choice.function.name");
  refused({{"type", "custom"}}, "tool_choice.type");
  CHECK(stage.post(chat, question({{"tools", {17}}}))->error()["param"] == "tools.0");
  CHECK(stage.post(chat, question({{"tools", "x"}}))->error()["param"] == "tools");
}

TEST_CASE(
    "a call that has to be is bound to its tool, and a form goes with tools that may be called") {
  ApiStage stage;
  const auto form = [&](const json& more) {
    const auto request = stage.post(chat, question(more));
    return request->ended
               ? request->error()
               : json::parse(stage.model.asked.back().options.json_schema, nullptr, false);
  };
  const json format{{"type", "json_schema"}, {"json_schema", {{"schema", {{"type", "null"}}}}}};
  CHECK(form({{"tool_choice", "auto"}}).is_discarded());
  const json required = form({{"tool_choice", "required"}});
  CHECK(required["$calls"]["several"] == true);
  CHECK(required["$calls"]["tools"][0]["parameters"] == weather()["function"]["parameters"]);
  CHECK_FALSE(required.contains("$or"));
  const json named{{"type", "function"}, {"function", {{"name", "weather"}}}};
  CHECK(form({{"tool_choice", named}})["$calls"]["several"] == false);
  CHECK(form({{"tool_choice", named}, {"response_format", format}}).contains("$calls"));
  const json either = form({{"response_format", format}});
  CHECK(either["$or"] == json{{"type", "null"}});
  CHECK(either["$calls"]["tools"].size() == 1);
  CHECK(form({{"tool_choice", "none"}, {"response_format", format}}) == json{{"type", "null"}});

  // What is not known of a schema binds nothing, and is said; of a strict one it is refused.
  json loose = weather();
  loose["function"]["parameters"]["properties"]["city"]["pattern"] = "\r\nX: y";
  const json body = question({{"tools", {loose}}, {"tool_choice", "required"}});
  const auto served = stage.post(chat, body);
  stage.model.say("</function>\n</tool_call>");
  stage.model.end();
  CHECK(served->header("X-Hearth-Unbound") == "weather.properties.city.pattern");
  loose["function"]["strict"] = true;
  const json error = form({{"tools", {loose}}, {"tool_choice", "required"}});
  CHECK(error["param"] == "tools");
  CHECK(error["message"] ==
        "\"tools\": of weather, the schema's $.properties.city.pattern is not supported");
  CHECK(form({{"tools", {loose}}, {"tool_choice", "auto"}}).is_discarded());
  json list = weather();
  list["function"]["parameters"] = {{"type", "array"}};
  CHECK(form({{"tools", {list}}, {"tool_choice", "required"}})["message"] ==
        "\"tools\": of weather, the schema's $ is not of an object, as arguments are");
}

TEST_CASE("an answer of a form beside tools is a text, whatever is in it") {
  ApiStage stage;
  const json format{{"type", "json_object"}};
  for (const bool stream : {false, true}) {
    const auto request =
        stage.post(chat, question({{"response_format", format}, {"stream", stream}}));
    const std::string said = R"({"a": "<tool_call><function=weather></function></tool_call>"})";
    for (const char letter : said) stage.model.say(std::string(1, letter));
    stage.model.end();
    std::string text;
    if (!stream) text = request->json()["choices"][0]["message"]["content"];
    for (const json& event : request->events()) {
      if (event.is_object()) text += event["choices"][0]["delta"].value("content", "");
    }
    CHECK(text == said);
  }
  const auto called = stage.post(chat, question({{"response_format", format}}));
  stage.model.say(call);
  stage.model.end();
  CHECK(called->json()["choices"][0]["finish_reason"] == "tool_calls");
}

TEST_CASE("calls and their results come back in the forms that clients send") {
  ApiStage stage;
  const auto function = [](const json& arguments) {
    return json{{"id", "call_1"},
                {"type", "function"},
                {"function", {{"name", "weather"}, {"arguments", arguments}}}};
  };
  json body = question();
  body["messages"].push_back(
      {{"role", "assistant"},
       {"content", nullptr},
       {"reasoning_content", "hm"},
       {"tool_calls", {function(R"({"z": 1, "a": 2})"), function({{"b", 1}}), function("")}}});
  body["messages"].push_back({{"role", "tool"}, {"tool_call_id", "call_1"}, {"content", "rain"}});
  const auto request = stage.post(chat, body);
  REQUIRE(stage.model.asked.size() == 1);
  const auto& messages = stage.model.asked.front().prompt.messages;
  REQUIRE(messages.size() == 3);
  REQUIRE(messages[1].tool_calls.size() == 3);
  CHECK(messages[1].tool_calls[0].arguments == R"({"z": 1, "a": 2})");
  CHECK(messages[1].tool_calls[1].arguments == R"({"b":1})");
  CHECK(messages[1].tool_calls[2].arguments == "{}");
  CHECK(messages[1].thought == "hm");
  CHECK(messages[2].role == lsp::Role::tool);
  body["messages"][1]["tool_calls"] = json::array({function("[1]")});
  CHECK(stage.post(chat, body)->error()["param"] == "messages.1.tool_calls.0.function.arguments");
}

TEST_CASE("an answer that a client has begun is gone on with, and not said again") {
  ApiStage stage;
  json body{
      {"messages",
       {{{"role", "user"}, {"content", "hi"}}, {{"role", "assistant"}, {"content", "Dear "}}}},
      {"max_tokens", 9}};
  const auto request = stage.post(chat, body);
  const auto& asked = stage.model.asked.at(0);
  CHECK(asked.prompt.messages.size() == 1);
  CHECK(asked.options.written.size() == 5);
  CHECK(asked.options.max_tokens == 14);
  CHECK(asked.options.thinking == false);
  stage.model.said = "Dear ";
  stage.model.say("Ada");
  stage.model.end();
  CHECK(request->json()["choices"][0]["message"]["content"] == "Ada");
  body["messages"] = {{{"role", "assistant"}, {"content", "Dear "}}};
  CHECK(stage.post(chat, body)->status == 400);
}
