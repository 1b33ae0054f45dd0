// What all actions have in common: the table, whose wording is used, what a request keeps of its
// document. What each one does is in the transcripts.
#include "lsp/actions/actions.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lsp/jobs/memory_store.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;

const std::string uri = "file:///home/ada/stats.py";
// A function of so many lines.
std::string assignments(int lines) {
  std::string text = "def many():\n";
  for (int i = 0; i < lines; ++i)
    text += "    x" + std::to_string(i) + " = " + std::to_string(i) + "\n";
  return text;
}

// An editor with one document, and a user's wordings.
struct Editor {
  VirtualHost host;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  std::vector<json> sent;
  std::optional<Wording> user_wording;
  Server server{host, model, jobs, options(),
                [this](const json& message) { sent.push_back(message); }};

  explicit Editor(ModelCapabilities capabilities = {}) {
    model.capabilities = capabilities;
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
  void replace(const std::string& text) {
    send({{"method", "textDocument/didChange"},
          {"params",
           {{"textDocument", {{"uri", uri}, {"version", ++version}}},
            {"contentChanges", json::array({{{"text", text}}})}}}});
    lines = std::ranges::count(text, '\n');
  }
  // The actions that a menu lists for all of the document.
  json listed(json diagnostics = json::array(), std::optional<int> trigger = std::nullopt) {
    sent.clear();
    const json whole = {{"start", {{"line", 0}, {"character", 0}}},
                        {"end", {{"line", lines}, {"character", 0}}}};
    json context = {{"diagnostics", std::move(diagnostics)}};
    if (trigger) context["triggerKind"] = *trigger;
    send({{"id", 1},
          {"method", "textDocument/codeAction"},
          {"params",
           {{"textDocument", {{"uri", uri}}}, {"range", whole}, {"context", std::move(context)}}}});
    return sent.at(0)["result"];
  }
  json listed_as(const std::string& kind) {
    for (const json& each : listed()) {
      if (each["kind"] == kind) return each;
    }
    return {};
  }
  void choose(const json& listed) {
    send({{"id", 2},
          {"method", "workspace/executeCommand"},
          {"params",
           {{"command", listed["command"]["command"]},
            {"arguments", listed["command"]["arguments"]}}}});
  }
  int version = 3;
  std::ptrdiff_t lines = 2;
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
    // Kinds under refactor and quickfix promise an edit; hearth.* promises nothing.
    const bool edits = action->kind.starts_with("refactor.") || action->kind == "quickfix";
    CHECK(edits == (action->answers == Answers::code));
    CHECK((edits || action->kind.starts_with("hearth.")));
    CHECK(action_with_id(action->id) == action);
    CHECK(action_with_command(command_of(*action)) == action);
    CHECK_FALSE(action->title.empty());
    CHECK_FALSE(action->title_here.empty());
    CHECK_FALSE(action->verb.empty());
  }
  CHECK(action_with_id("sing") == nullptr);
  CHECK(action_with_command("hearth.explain") == nullptr);
}

TEST_CASE("every listed action can be chosen and asks the model something of its own") {
  Editor editor;
  editor.replace("def average(values):\n    # hearth: Rust\n    return sum(values) / len(value)\n");
  const json place = {{"start", {{"line", 2}, {"character", 30}}},
                      {"end", {{"line", 2}, {"character", 33}}}};
  const json listed = editor.listed({{{"range", place}, {"message", "no value"}}});
  // A diff comes with its command, and so do words.
  CHECK(listed.size() == actions().size() - 2);
  std::set<std::string> instructions;
  for (const json& action : listed) {
    CAPTURE(action["title"]);
    editor.choose(action);
    CHECK(instructions.insert(editor.instruction()).second);
    CHECK(editor.instruction().find('{') == std::string::npos);
  }
  CHECK(editor.model.prompts.size() == actions().size() - 2);
}

TEST_CASE("who may think is the action's own, unless all are to or none") {
  for (const ThinkingMode mode : {ThinkingMode::automatic, ThinkingMode::on, ThinkingMode::off}) {
    ServerOptions options;
    options.thinking_mode = mode;
    Editor editor;
    editor.server.configure(options);
    for (const json& each : editor.listed()) {
      const Action& action = *action_with_command(each["command"]["command"].get<std::string>());
      CAPTURE(action.id);
      editor.choose(each);
      CHECK(editor.model.options.back().thinking ==
            (mode == ThinkingMode::automatic ? action.thinks : mode == ThinkingMode::on));
    }
  }
  for (const char* quick : {"rename", "commit-message"}) CHECK_FALSE(action_with_id(quick)->thinks);
  for (const char* hard : {"fix", "simplify", "extract", "review"})
    CHECK(action_with_id(hard)->thinks);
  CHECK(thinking_asked(ThinkingMode::automatic, {}) == std::nullopt);
}

TEST_CASE("code is asked for in a form that can be checked, and at a length that holds it") {
  Editor editor;
  for (const json& each : editor.listed()) {
    const Action& action = *action_with_command(each["command"]["command"].get<std::string>());
    CAPTURE(action.id);
    editor.choose(each);
    const bool code = action.answers == Answers::code;
    CHECK((editor.instruction().find("code block") != std::string::npos) >= code);
    CHECK(editor.jobs.all().back()->request.form.has_value() == code);
    CHECK(editor.model.options.back().sampling == action.sampling);
    CHECK(editor.model.options.back().thinking == action.thinks);
  }
  // Large code is asked for by the lines that change.
  editor.model.profile.context_tokens = 16'000;
  editor.replace(assignments(300));
  editor.choose(editor.listed_as("refactor.rewrite.simplify"));
  CHECK(editor.instruction().find("SEARCH") != std::string::npos);
  CHECK(editor.jobs.all().back()->request.form == AnswerForm::hunks);
  CHECK(editor.model.options.back().max_tokens > 1000);
}

TEST_CASE("code that is too long to be shown whole is not changed") {
  Editor editor;
  editor.replace(assignments(3000));
  editor.choose(editor.listed_as("refactor.rewrite.simplify"));
  CHECK(editor.model.prompts.empty());
  CHECK(editor.jobs.all().back()->error ==
        "many is longer than the model can be shown at once: select the part of it that is to "
        "change");
}

TEST_CASE("a hearth: comment says what is wanted, in whatever language comments are") {
  const auto asked = [](const char* line) {
    const Text lines("first\n" + std::string(line) + "\nlast\n");
    return comment_instruction(lines, {{0}, Byte{lines.str().size()}});
  };
  CHECK(asked("# hearth: raise for no values") == "raise for no values");
  CHECK(asked("    // hearth:why is this slow?  ") == "why is this slow?");
  CHECK(asked("/* hearth: use a map */") == "use a map");
  CHECK(asked("<!-- hearth: a table -->") == "a table");
  CHECK(asked("-- hearth: Rust") == "Rust");
  CHECK(asked("x = 1  # hearth: no comment of its own") == "");
  CHECK(asked("see hearth: the manual") == "");
}

TEST_CASE("the menu says about how long each takes, where that is long enough to say") {
  Editor editor;
  editor.model.usual = std::chrono::milliseconds(4200);
  CHECK(editor.listed().at(0)["title"] == "Explain selection");
  editor.model.usual = std::chrono::seconds(41);
  CHECK(editor.listed().at(0)["title"] == "Explain selection · about 40 s");
  editor.model.usual = std::chrono::seconds(200);
  CHECK(editor.listed().at(0)["title"] == "Explain selection · about 3 min");
  // A model that keeps no state promises nothing.
  Editor stateless({true, true, false});
  stateless.model.usual = std::chrono::seconds(41);
  CHECK(stateless.listed().at(0)["title"] == "Explain selection");
}

TEST_CASE("a menu that a person opens reads ahead what they likely choose, if nothing else runs") {
  Editor editor;
  editor.listed(json::array(), 2);
  CHECK(editor.model.prefilled.empty());
  editor.listed(json::array(), 1);
  REQUIRE(editor.model.prefilled.size() == 1);
  const json explain = editor.listed().at(0);
  editor.model.say({"It", " adds."});
  editor.choose(explain);
  CHECK(text_of(editor.model.prompts.back().messages.back().segments) ==
        text_of(editor.model.prefilled.back().messages.back().segments));
  editor.listed(json::array(), 1);  // the answer is being written
  CHECK(editor.model.prefilled.size() == 1);
  Editor stateless({true, true, false});
  stateless.listed(json::array(), 1);
  CHECK(stateless.model.prefilled.empty());
}

TEST_CASE("a question that follows goes on from the whole conversation") {
  Editor editor;
  editor.model.say({"It adds."});
  editor.model.generated = {5, 6, 7};
  editor.choose(editor.listed().at(0));
  const auto follow = [&](JobId job, const std::string& question) {
    editor.sent.clear();
    editor.send({{"id", 9},
                 {"method", "workspace/executeCommand"},
                 {"params",
                  {{"command", "hearth.session.followUp"},
                   {"arguments", {{{"job", job}, {"question", question}}}}}}});
    return editor.sent.at(0);
  };
  const JobId first = editor.jobs.all().back()->id;
  CHECK(follow(first, "And then?").contains("error"));  // it is not whole yet
  editor.host.advance(std::chrono::seconds(1));
  CHECK(follow(first, " ").contains("error"));
  CHECK(follow(first + 7, "And then?").contains("error"));
  editor.model.say({"Nothing."});
  CHECK(follow(first, "And then?")["result"] == nullptr);
  const Prompt& before = editor.model.prompts.at(0);
  const Prompt& after = editor.model.prompts.at(1);
  REQUIRE(after.messages.size() == before.messages.size() + 2);
  for (std::size_t i = 0; i < before.messages.size(); ++i)
    CHECK(text_of(after.messages[i].segments) == text_of(before.messages[i].segments));
  CHECK(after.messages[2].generated == std::vector<std::int32_t>{5, 6, 7});
  CHECK(after.messages[2].thinking == true);  // an explanation may be thought about
  CHECK(text_of(after.messages[2].segments) == "It adds.");
  CHECK(text_of(after.messages[3].segments) == "And then?");
  editor.host.advance(std::chrono::seconds(1));
  CHECK(editor.jobs.all().back()->request.title == "Follow-up to Explain average");
  CHECK(editor.jobs.all().back()->text == "Nothing.");
}

TEST_CASE("actions and documents can be switched off, in the configuration and in the editor") {
  Editor editor;
  const auto kinds = [&] {
    std::set<std::string> all;
    for (const json& each : editor.listed()) all.insert(each["kind"].get<std::string>());
    return all;
  };
  const auto configure = [&](const json& settings) {
    editor.send({{"method", "workspace/didChangeConfiguration"},
                 {"params", {{"settings", {{"hearth", settings}}}}}});
  };
  const json explain = editor.listed().at(0);
  CHECK(kinds().contains("hearth.explain"));
  configure({{"actions", {{"disabled", json::array({"explain"})}}}});
  CHECK_FALSE(kinds().contains("hearth.explain"));
  CHECK(kinds().contains("hearth.review"));
  editor.sent.clear();
  editor.choose(explain);
  CHECK(editor.sent.at(0)["error"]["message"] == "explain is switched off (actions.disabled)");
  configure({{"off", {{"languages", json::array({"python"})}}}});
  CHECK(kinds().empty());
  configure({{"off", {{"paths", json::array({"st*.py"})}}}});
  CHECK(kinds().empty());
  configure({{"off", {{"paths", json::array({"src/*"})}}}});
  CHECK_FALSE(kinds().empty());
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
  editor.choose(listed.at(1));  // the first one mends it
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

TEST_CASE("nothing is completed unasked behind a job of a model that does not step aside") {
  for (const bool parking : {true, false}) {
    Editor editor({true, parking, true});
    const auto complete = [&](int trigger) {
      const std::size_t before = editor.model.prompts.size();
      editor.send({{"id", 50},
                   {"method", "textDocument/inlineCompletion"},
                   {"params",
                    {{"textDocument", {{"uri", uri}}},
                     {"position", {{"line", 1}, {"character", 36}}},
                     {"context", {{"triggerKind", trigger}}}}}});
      editor.host.advance(editor.options().inline_debounce);
      return editor.model.prompts.size() > before;
    };
    editor.model.say({"It", " adds", " them."});
    editor.choose(editor.listed().at(0));
    CHECK(complete(2) == parking);
    CHECK(complete(1) == !parking);  // who asks may wait; here it is what was begun
  }
}

}  // namespace hearth::lsp::test
