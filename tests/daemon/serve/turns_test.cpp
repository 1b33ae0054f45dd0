// Turn N is a prefix of turn N+1, whatever a client makes of what it sends back.
#include "daemon/serve/turns.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/daemon/serve/api_stage.hpp"

using namespace hearth;
using daemon::Turns;
using nlohmann::json;
using tests::ApiStage;

namespace {

constexpr const char* chat = "/v1/chat/completions";

json tool() {
  return {
      {"type", "function"},
      {"function",
       {{"name", "look"},
        {"parameters",
         {{"type", "object"},
          {"properties", {{"path", {{"type", "string"}}}, {"depth", {{"type", "number"}}}}}}}}}};
}

// A client that holds a conversation, and what it makes of each message before it sends it back.
struct Client {
  explicit Client(std::function<void(json&)> how = {}) : change(std::move(how)) {
    body = {{"messages", {{{"role", "system"}, {"content", "You are brief."}}}},
            {"tools", {tool()}}};
  }

  // Asks, and takes the answer in.
  json ask(ApiStage& stage, const json& message, const std::string& thought,
           const std::string& text) {
    body["messages"].push_back(message);
    json sent = body;
    if (change) change(sent);
    const auto request = stage.post(chat, sent);
    stage.model.said = text;
    stage.model.end(lsp::FinishReason::stop, thought);
    json answer = request->json()["choices"][0]["message"];
    body["messages"].push_back(answer);
    return answer;
  }

  json body;
  std::function<void(json&)> change;
};

std::string call(int depth) {
  return "I look.\n\n<tool_call>\n<function=look>\n<parameter=path>\nsrc/" + std::to_string(depth) +
         "\n</parameter>\n<parameter=depth>\n" + std::to_string(depth) +
         "\n</parameter>\n</function>\n</tool_call>";
}

std::string tokens_of(const lsp::Message& message) {
  return {message.generated.begin(), message.generated.end()};
}

// Ten turns with tools; how many of the assistant's messages of the last prompt stand there in the
// tokens that they were written in.
std::size_t found_after_ten_turns(const std::function<void(json&)>& change) {
  ApiStage stage;
  Client client(change);
  std::vector<std::string> written;
  for (int turn = 0; turn < 10; ++turn) {
    const json message =
        turn % 2 == 0
            ? json{{"role", "user"}, {"content", "question " + std::to_string(turn) + " \n"}}
            : json{{"role", "tool"}, {"tool_call_id", "x"}, {"content", "result"}};
    const std::string thought = "thought " + std::to_string(turn);
    const std::string text = turn % 2 == 0 ? call(turn) : " It is " + std::to_string(turn) + ". ";
    client.ask(stage, message, thought, text);
    written.push_back(thought + text);
  }
  std::size_t found = 0;
  std::size_t next = 0;
  for (const lsp::Message& message : stage.model.asked.back().prompt.messages) {
    if (message.role != lsp::Role::assistant) continue;
    if (tokens_of(message) == written.at(next++)) ++found;
  }
  return found;
}

void each_message(json& body, const std::function<void(json&)>& call_with) {
  for (json& message : body["messages"]) call_with(message);
}

}  // namespace

TEST_CASE("a conversation is found again whole, whatever its client leaves out or writes anew") {
  CHECK(found_after_ten_turns({}) == 9);
  CHECK(found_after_ten_turns([](json& body) {
          each_message(body, [](json& message) { message.erase("reasoning_content"); });
        }) == 9);
  CHECK(found_after_ten_turns([](json& body) {  // key order, blanks, forms of numbers
          each_message(body, [](json& message) {
            if (!message.contains("tool_calls")) return;
            for (json& each : message["tool_calls"]) {
              const json arguments = json::parse(each["function"]["arguments"].get<std::string>());
              each["function"]["arguments"] = "{ \"path\" :" + arguments["path"].dump() +
                                              ",\n\"depth\": " + arguments["depth"].dump() + ".0 }";
            }
          });
        }) == 9);
  CHECK(found_after_ten_turns([](json& body) {
          each_message(body, [](json& message) {
            if (!message["content"].is_string()) return;
            std::string text = message["content"];
            text.erase(0, text.find_first_not_of(" \n"));
            text.erase(text.find_last_not_of(" \n") + 1);
            message["content"] = text;
          });
        }) == 9);
  CHECK(found_after_ten_turns([](json& body) {
          int number = 0;
          each_message(body, [&](json& message) {
            if (!message.contains("tool_calls")) return;
            for (json& each : message["tool_calls"])
              each["id"] = "renamed" + std::to_string(++number);
          });
        }) == 9);
}

TEST_CASE("a beginning that changes is said, and found by none") {
  ApiStage stage;
  int day = 0;
  Client client([&](json& body) {
    body["messages"][0]["content"] = "Today is day " + std::to_string(++day);
  });
  client.ask(stage, {{"role", "user"}, {"content", "a"}}, "", "b");
  CHECK(stage.host.logged.empty());
  client.ask(stage, {{"role", "user"}, {"content", "c"}}, "", "d");
  CHECK(stage.host.logged.find("what is before it (such as the system message or the tools) has "
                               "changed") != std::string::npos);
  CHECK(stage.model.asked.back().prompt.messages[2].generated.empty());
}

TEST_CASE("conversations that differ only in a thought never take each other's tokens") {
  ApiStage stage;
  Client one;
  Client two;
  Client blind([](json& body) {
    each_message(body, [](json& message) { message.erase("reasoning_content"); });
  });
  const json question{{"role", "user"}, {"content", "a"}};
  one.ask(stage, question, "first", "same");
  two.ask(stage, question, "second", "same");
  blind.ask(stage, question, "third", "same");
  one.ask(stage, question, "", "x");
  CHECK(tokens_of(stage.model.asked.back().prompt.messages[2]) == "firstsame");
  two.ask(stage, question, "", "x");
  CHECK(tokens_of(stage.model.asked.back().prompt.messages[2]) == "secondsame");
  // It says nothing of its thought: it could be any of them.
  blind.ask(stage, question, "", "x");
  CHECK(stage.model.asked.back().prompt.messages[2].generated.empty());
  CHECK(stage.host.logged.find("several answers look like it") != std::string::npos);
  // And what follows goes its own way.
  one.ask(stage, question, "", "y");
  CHECK(tokens_of(stage.model.asked.back().prompt.messages[4]) == "x");
}

TEST_CASE("a call's id tells answers apart that look alike") {
  ApiStage stage;
  Client one([](json& body) {
    each_message(body, [](json& message) { message.erase("reasoning_content"); });
  });
  Client two = one;
  const json question{{"role", "user"}, {"content", "a"}};
  const json result{{"role", "tool"}, {"tool_call_id", "x"}, {"content", "r"}};
  one.ask(stage, question, "first", call(1));
  two.ask(stage, question, "second", call(1));
  one.ask(stage, result, "", "x");
  CHECK(tokens_of(stage.model.asked.back().prompt.messages[2]) == "first" + call(1));
  two.ask(stage, result, "", "x");
  CHECK(tokens_of(stage.model.asked.back().prompt.messages[2]) == "second" + call(1));
}

TEST_CASE("turns take no more memory than they may, and the oldest go first") {
  Turns turns(20'000);
  const auto prompt = [](int number) {
    lsp::Prompt prompt;
    prompt.messages = {{lsp::Role::user, {{"question " + std::to_string(number)}}},
                       {lsp::Role::assistant, {{"answer"}}}};
    return prompt;
  };
  for (int i = 0; i < 100; ++i) {
    lsp::Prompt asked = prompt(i);
    asked.messages.pop_back();
    const auto match = turns.find(asked);
    turns.remember(match.place, {lsp::Role::assistant, {{"answer"}}}, {},
                   std::vector<std::int32_t>(100, i));
  }
  lsp::Prompt oldest = prompt(0);
  CHECK(turns.find(oldest).turns == 0);
  lsp::Prompt newest = prompt(99);
  CHECK(turns.find(newest).turns == 1);
  CHECK(newest.messages[1].generated.front() == 99);
  turns.clear();
  CHECK(turns.find(newest).turns == 0);
}
