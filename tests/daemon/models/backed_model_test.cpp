// Who answers, of an engine that goes away and comes back and one behind it.
#include "daemon/models/backed_model.hpp"

#include <doctest/doctest.h>

#include <string>
#include <variant>
#include <vector>

#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

using namespace hearth;
using namespace std::chrono_literals;
using daemon::BackedModel;
using lsp::test::ScriptedModel;

namespace {

struct Stage {
  Stage() {
    first.identity = "far";
    behind.identity = "near";
    behind.load();
    behind.profile.name = "near";
  }
  ~Stage() { host.advance(10min); }

  void come() {
    first.load();
    first.profile.name = "far";
  }
  void go_away() {
    away = true;
    model.look();
  }
  std::vector<std::string> describe() {
    std::vector<std::string> said;
    model.describe([&](const lsp::Result<lsp::ModelDescription>& result) {
      const auto& description = std::get<lsp::ModelDescription>(result);
      said = {description.profile.name, description.identity};
    });
    host.advance(1s);
    return said;
  }
  void ask(lsp::GenerateOptions options = {}) {
    lsp::GenerationEvents events;
    events.on_progress = [this](const lsp::GenerationProgress& progress) { by = progress.by; };
    events.on_text = [this](const std::string& more) { text += more; };
    events.on_done = [this](const lsp::Result<lsp::Answer>& result) { ends.push_back(result); };
    events.on_restart = [this] {
      text.clear();
      ++restarts;
    };
    id = model.generate({}, std::move(options), std::move(events));
  }
  lsp::Answer answer() {
    host.advance(1min);
    REQUIRE(ends.size() == 1);
    REQUIRE(std::holds_alternative<lsp::Answer>(ends.front()));
    return std::get<lsp::Answer>(ends.front());
  }

  lsp::test::VirtualHost host;
  ScriptedModel first{host};
  ScriptedModel behind{host};
  bool away = false;
  BackedModel model{first,
                    {behind, "/models/near", [] { return std::string("near on this machine"); }},
                    [this] { return away; }};
  lsp::GenerationId id = 0;
  std::string text;
  std::string by;  // of the last progress
  int restarts = 0;
  std::vector<lsp::Result<lsp::Answer>> ends;
};

}  // namespace

TEST_CASE("the first one answers while it is there, the one behind while it is away") {
  Stage stage;
  stage.come();
  CHECK(stage.describe() == std::vector<std::string>{"far", "far or /models/near"});
  stage.first.say({"from ", "afar"});
  SUBCASE("there") {
    stage.ask();
    const lsp::Answer answer = stage.answer();
    CHECK(answer.text == "from afar");
    CHECK(answer.by.empty());
    CHECK(stage.by.empty());
  }
  SUBCASE("away, and told so") {
    stage.go_away();
    stage.behind.say({"from here"});
    CHECK(stage.describe() == std::vector<std::string>{"near", "near"});
    stage.ask();
    const lsp::Answer answer = stage.answer();
    CHECK(answer.text == "from here");
    CHECK(answer.by == "near on this machine");
    CHECK(stage.by == answer.by);
    stage.away = false;
    CHECK(stage.describe().front() == "far");
  }
}

TEST_CASE("who waits for a description gets one from behind when the first one goes away") {
  Stage stage;
  std::vector<std::string> names;
  stage.model.describe([&](const lsp::Result<lsp::ModelDescription>& result) {
    names.push_back(std::get<lsp::ModelDescription>(result).profile.name);
  });
  stage.host.advance(1s);
  CHECK(names.empty());
  stage.go_away();
  stage.host.advance(1s);
  CHECK(names == std::vector<std::string>{"near"});
  stage.come();
  stage.host.advance(1s);
  CHECK(names.size() == 1);
}

TEST_CASE("what has no word of its answer yet changes hands, what has one does not") {
  Stage stage;
  stage.come();
  stage.first.say({"one ", "two ", "three"});
  stage.behind.say({"here"});
  stage.ask();
  SUBCASE("while the prompt is read") {
    stage.host.advance(ScriptedModel::step_time);
    stage.go_away();
    CHECK(stage.answer().text == "here");
    CHECK(stage.text == "here");
    CHECK(stage.first.cancelled.size() == 1);
  }
  SUBCASE("behind a word") {
    while (stage.text.empty()) stage.host.advance(ScriptedModel::step_time);
    stage.go_away();
    CHECK(stage.answer().text == "one two three");
    CHECK(stage.behind.prompts.empty());
  }
  SUBCASE("cancelled at whoever has it") {
    stage.go_away();
    stage.host.advance(ScriptedModel::step_time);
    stage.model.cancel(stage.id);
    stage.host.advance(1min);
    REQUIRE(stage.ends.size() == 1);
    CHECK(std::get<lsp::ModelError>(stage.ends.front()).kind == lsp::ModelError::Kind::cancelled);
    CHECK(stage.behind.cancelled.size() == 1);
  }
}

TEST_CASE("behind tokens of the one that is asked an answer goes on") {
  Stage stage;
  stage.come();
  lsp::GenerateOptions options;
  options.written = {1};
  stage.text = "one";
  ScriptedModel* asked = &stage.first;
  SUBCASE("the first one's") {
    options.written_by = "far at gpu.example.org";
  }
  SUBCASE("of the one behind") {
    options.written_by = "near on this machine";
    stage.go_away();
    asked = &stage.behind;
  }
  asked->say({"one", "two"});
  stage.ask(options);
  CHECK(stage.answer().text == "onetwo");
  CHECK(stage.text == "onetwo");
  CHECK(stage.restarts == 0);
  CHECK(asked->options.front().written == options.written);
}

TEST_CASE("what goes on at the first one begins anew behind it, when that one goes away") {
  Stage stage;
  stage.come();
  stage.first.say({"one", "two"});
  stage.behind.say({"here"});
  lsp::GenerateOptions options;
  options.written = {1};
  options.written_by = "far at gpu.example.org";
  stage.text = "one";
  stage.ask(options);
  stage.host.advance(ScriptedModel::step_time);
  stage.go_away();
  CHECK(stage.answer().text == "here");
  CHECK(stage.text == "here");
  CHECK(stage.restarts == 1);
  CHECK(stage.behind.options.front().written.empty());
}

TEST_CASE("behind tokens that may be the other one's an answer begins again") {
  Stage stage;
  stage.come();
  stage.first.say({"one", "two"});
  stage.text = "on";
  lsp::GenerateOptions options;
  options.written = {1};
  SUBCASE("nobody says whose they are") {}
  SUBCASE("they are the other one's") {
    options.written_by = "near on this machine";
  }
  stage.ask(options);
  CHECK(stage.answer().text == "onetwo");
  CHECK(stage.restarts == 1);
  CHECK(stage.text == "onetwo");
  REQUIRE(stage.first.options.size() == 1);
  CHECK(stage.first.options.front().written.empty());
}
