// What all actions have in common: the table, whose wording is used, what a request keeps of its
// document. What each one does is in the transcripts.
#include "lsp/actions/actions.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;

const std::string uri = "file:///home/ada/stats.py";
const json whole = {{"start", {{"line", 0}, {"character", 0}}},
                    {"end", {{"line", 1}, {"character", 36}}}};

// An editor with one document, and a user's wordings.
struct Editor {
  VirtualHost host;
  ScriptedModel model{host};
  Jobs jobs{host, model};
  std::vector<json> sent;
  std::optional<Wording> user_wording;
  Server server{host, model, jobs, options(),
                [this](const json& message) { sent.push_back(message); }};

  Editor() {
    model.load();
    const json literals = {{"codeActionKind", {{"valueSet", json::array()}}}};
    send({{"id", 0},
          {"method", "initialize"},
          {"params",
           {{"capabilities",
             {{"textDocument", {{"codeAction", {{"codeActionLiteralSupport", literals}}}}}}}}}});
    send({{"method", "initialized"}, {"params", json::object()}});
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri},
              {"languageId", "python"},
              {"version", 3},
              {"text", "def average(values):\n    return sum(values) / len(values)\n"}}}}}});
    sent.clear();
  }
  ServerOptions options() {
    ServerOptions options;
    options.user_wording = [this](const std::string& action) {
      return action == "explain" ? user_wording : std::nullopt;
    };
    return options;
  }
  void send(json message) {
    message["jsonrpc"] = "2.0";
    server.receive(message.dump());
    host.run();
  }
  // The actions that a menu lists for all of the document.
  json listed(json diagnostics = json::array()) {
    sent.clear();
    send({{"id", 1},
          {"method", "textDocument/codeAction"},
          {"params",
           {{"textDocument", {{"uri", uri}}},
            {"range", whole},
            {"context", {{"diagnostics", std::move(diagnostics)}}}}}});
    return sent.at(0)["result"];
  }
  void choose(const json& listed) {
    send({{"id", 2},
          {"method", "workspace/executeCommand"},
          {"params",
           {{"command", listed["command"]["command"]},
            {"arguments", listed["command"]["arguments"]}}}});
  }
  std::string instruction() const {
    for (const Segment& segment : model.prompts.back().messages.back().segments) {
      if (segment.provenance == Provenance::instruction) return segment.text;
    }
    return {};
  }
};

}  // namespace

TEST_CASE("actions are told apart by their ids, and none of them runs on save") {
  std::set<std::string_view> ids;
  std::set<std::string_view> kinds;
  for (const Action* action : actions()) {
    CAPTURE(action->id);
    CHECK(ids.insert(action->id).second);
    CHECK(kinds.insert(action->kind).second);
    CHECK(action->kind.starts_with("hearth."));
    CHECK(action_with_id(action->id) == action);
    CHECK(action_with_command(command_of(*action)) == action);
    CHECK_FALSE(action->title.empty());
    CHECK_FALSE(action->verb.empty());
  }
  CHECK(action_with_id("sing") == nullptr);
  CHECK(action_with_command("hearth.explain") == nullptr);
}

TEST_CASE("every listed action can be chosen and asks the model something of its own") {
  Editor editor;
  const json listed = editor.listed();
  CHECK(listed.size() == actions().size());
  std::set<std::string> instructions;
  for (const json& action : listed) {
    CAPTURE(action["title"]);
    editor.choose(action);
    CHECK(instructions.insert(editor.instruction()).second);
    CHECK(editor.instruction().find('{') == std::string::npos);
  }
  CHECK(editor.model.prompts.size() == actions().size());
}

TEST_CASE("a user's wording goes before the checkpoint's, and that before the action's") {
  Editor editor;
  const json explain = editor.listed().at(0);
  editor.choose(explain);
  CHECK(editor.instruction() == "Explain what this code does.");
  editor.model.profile.wordings["explain"] = {"hearth.json", "What is {subject}?"};
  editor.choose(explain);
  CHECK(editor.instruction() == "What is average?");
  editor.user_wording = Wording{"explain.md", "Explain {file} to a child."};
  editor.choose(explain);
  CHECK(editor.instruction() == "Explain stats.py to a child.");
}

TEST_CASE(
    "a wording with an unknown variable fails its job with the file's name and the variable") {
  Editor editor;
  const json explain = editor.listed().at(0);
  editor.user_wording = Wording{"/home/ada/.config/hearth/prompts/explain.md", "In {tongue}."};
  editor.sent.clear();
  editor.choose(explain);
  CHECK(editor.model.prompts.empty());
  const Job& job = *editor.jobs.all().back();
  CHECK(job.state == JobState::failed);
  CHECK(job.error ==
        "/home/ada/.config/hearth/prompts/explain.md, line 1: there is no variable {tongue}; there "
        "are {diagnostics}, {file}, {instruction}, {language}, {problem}, {subject}, {unit}");
  CHECK(editor.sent.back()["method"] == "window/showMessage");
  CHECK(editor.sent.back()["params"]["message"] == "Explain selection: " + job.error);
}

TEST_CASE("diagnostics come with the command, and what is none is left out") {
  Editor editor;
  const json place = {{"start", {{"line", 1}, {"character", 11}}},
                      {"end", {{"line", 1}, {"character", 14}}}};
  const json listed = editor.listed({{{"range", place}, {"message", "no sum"}, {"severity", 2}},
                                     {{"range", 7}, {"message", "nonsense"}},
                                     "nonsense"});
  editor.user_wording = Wording{"explain.md", "{diagnostics}"};
  editor.choose(listed.at(0));
  CHECK(editor.instruction() == "line 2: warning: no sum");
}

TEST_CASE("a request keeps the text that it was made from") {
  Editor editor;
  editor.choose(editor.listed().at(0));
  const Request& request = editor.jobs.all().back()->request;
  CHECK(request.title == "Explain average");
  REQUIRE(request.targets.size() == 1);
  CHECK(request.targets[0] == Target{uri,
                                     3,
                                     {{0}, {57}},
                                     "def average(values):\n    return sum(values) / len(values)",
                                     "",
                                     "\n"});
}

}  // namespace hearth::lsp::test
