// One action on many files: found, asked one by one, reviewed together, once each whatever happens.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/context/matching_files.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::lsp::test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
namespace fs = std::filesystem;

// What a process of the daemon has.
struct Process {
  explicit Process(VirtualHost& host, std::vector<JobRecord> records = {})
      : model(host),
        store(host, std::move(records)),
        jobs(std::make_unique<Jobs>(host, model, store)) {
    model.profile.context_tokens = 4096;
  }
  ScriptedModel model;
  MemoryJobStore store;
  std::unique_ptr<Jobs> jobs;
};

// A folder, and an editor that has it open and does what it is told.
struct World {
  tests::TemporaryDirectory directory;
  fs::path root = fs::canonical(directory.path());
  VirtualHost host;
  std::vector<std::unique_ptr<Process>>
      processes;  // the last one lives; timers may know the others
  std::unique_ptr<Server> server;
  std::vector<json> sent;
  std::vector<json> applied;
  int messages = 0;

  World() {
    host.files = root.string();
    file("a.py", "def a(x):\n    return x\n");
    file("b.py", "def b(x):\n    return x\n");
    file("lib/c.py", "def c(x):\n    return x\n");
    file("lib/notes.txt", "not code\n");
    file("empty.py", "\n");
    file("built/d.py", "def d(x):\n    return x\n");
    file(".gitignore", "built/\n");
    file("credentials.json", "{}\n");
    processes.push_back(std::make_unique<Process>(host));
    model().load();
  }
  Process& process() { return *processes.back(); }
  ScriptedModel& model() { return process().model; }
  Jobs& jobs() { return *process().jobs; }

  void file(const std::string& name, const std::string& text) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary) << text;
  }
  std::string uri(const std::string& name) const { return file_uri((root / name).string()); }
  void says_types() {
    for (const char* name : {"a", "b", "c"}) {
      model().say(
          {"```python\n", "def " + std::string(name), "(x: int) -> int:\n    return x\n", "```\n"});
    }
  }

  void take(const json& message) {
    sent.push_back(message);
    if (message.value("method", "") != "workspace/applyEdit") return;
    applied.push_back(message["params"]["edit"]["documentChanges"]);
    host.post([this, id = message["id"]] { send({{"id", id}, {"result", {{"applied", true}}}}); });
  }
  void send(json message) {
    message["jsonrpc"] = "2.0";
    server->receive(message.dump());
  }
  void connect(bool extension, const std::string& folder = "") {
    server = std::make_unique<Server>(host, model(), jobs(), ServerOptions{},
                                      [this](const json& message) { take(message); });
    json params{
        {"capabilities",
         {{"workspace", {{"applyEdit", true}, {"workspaceEdit", {{"documentChanges", true}}}}},
          {"window",
           {{"workDoneProgress", true},
            {"showDocument", {{"support", true}}},
            {"showMessage", {{"messageActionItem", json::object()}}}}}}},
        {"workspaceFolders", json::array({{{"uri", uri(folder)}, {"name", "w"}}})}};
    if (extension)
      params["initializationOptions"] = {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}};
    send({{"id", 0}, {"method", "initialize"}, {"params", params}});
    send({{"method", "initialized"}});
    host.run();
    sent.clear();
  }
  void open(const std::string& name, const std::string& text) {
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri(name)}, {"languageId", "python"}, {"version", 1}, {"text", text}}}}}});
    host.run();
  }
  json command(const std::string& name, json arguments) {
    const int id = ++messages;
    send({{"id", id},
          {"method", "workspace/executeCommand"},
          {"params", {{"command", name}, {"arguments", json::array({std::move(arguments)})}}}});
    host.run();
    for (const json& message : sent) {
      if (message.contains("id") && message["id"] == id && !message.contains("method"))
        return message.contains("result") ? message["result"] : message["error"];
    }
    return nullptr;
  }
  json run_on(json files, const std::string& action = "edit") {
    return command(
        "hearth.session.runOnFiles",
        {{"action", action}, {"instruction", "Add type hints."}, {"files", std::move(files)}});
  }
  void kill() {
    std::vector<JobRecord> records = process().store.records();
    server.reset();
    process().jobs.reset();
    processes.push_back(std::make_unique<Process>(host, std::move(records)));
  }
  std::vector<json> sent_as(const std::string& method) const {
    std::vector<json> found;
    for (const json& message : sent) {
      if (message.value("method", "") == method) found.push_back(message);
    }
    return found;
  }
  std::vector<std::string> states() {
    std::vector<std::string> states;
    for (const Job* job : jobs().all()) states.emplace_back(name(job->state));
    return states;
  }
  // The files that were changed, each as often as it was.
  std::vector<std::string> changed() const {
    std::vector<std::string> uris;
    for (const json& changes : applied) {
      for (const json& change : changes) uris.push_back(change["textDocument"]["uri"]);
    }
    std::ranges::sort(uris);
    return uris;
  }
  std::vector<std::string> all_files() const { return {uri("a.py"), uri("b.py"), uri("lib/c.py")}; }
};

}  // namespace

TEST_CASE("patterns name files as git's pathspecs do, and never what is not to be seen") {
  World world;
  const std::vector<std::string> folders{file_uri(world.root.string())};
  const auto matching = [&](std::vector<std::string> patterns, std::size_t max = 100) {
    MatchingFiles found = matching_files(world.host, folders, patterns, max);
    for (std::string& uri : found.uris) uri = uri.substr(folders.front().size() + 1);
    return found;
  };
  using Names = std::vector<std::string>;
  CHECK(matching({"*.py"}).uris == Names{"a.py", "b.py", "empty.py", "lib/c.py"});
  CHECK(matching({"lib"}).uris == Names{"lib/c.py", "lib/notes.txt"});
  CHECK(matching({"lib/*.py", "a.py"}).uris == Names{"a.py", "lib/c.py"});
  CHECK(matching({"built/d.py"}).uris.empty());
  CHECK(matching({"credentials.json"}).uris.empty());
  CHECK(matching({"../*"}).uris.empty());
  CHECK_FALSE(matching({"*.py"}).cut);
  CHECK(matching({"*.py"}, 2).cut);
  CHECK(matching({"*.py"}, 2).uris.size() == 2);
}

TEST_CASE("an action on every file that matches changes nothing before a person has seen it") {
  World world;
  world.connect(false);
  world.open("a.py", "def a(x):\n    return x\n");
  world.says_types();
  const json answer = world.run_on("*.py");
  CHECK(answer["files"] == 3);
  const JobId batch = answer["batch"];
  world.host.advance(60s);
  CHECK(world.states() == std::vector<std::string>(3, "waiting"));
  CHECK(world.applied.empty());
  for (const GenerateOptions& options : world.model().options)
    CHECK(options.priority == Priority::background);

  // One progress, one document with all changes, one question.
  CHECK(world.sent_as("window/workDoneProgress/create").size() == 1);
  CHECK(world.sent_as("window/showDocument").size() == 1);
  const std::string shown = world.host.answers.at("batch-" + std::to_string(batch) + ".md");
  for (const char* name : {"a", "b", "c"})
    CHECK(shown.find("+def " + std::string(name) + "(x: int) -> int:") != shown.npos);
  const auto questions = world.sent_as("window/showMessageRequest");
  REQUIRE(questions.size() == 1);
  CHECK(questions[0]["params"]["message"] ==
        "Edit: Add type hints.: 3 of 3 files have a change that waits for you.");

  world.send({{"id", questions[0]["id"]}, {"result", {{"title", "Make the changes"}}}});
  world.host.advance(60s);
  CHECK(world.states() == std::vector<std::string>(3, "done"));
  CHECK(world.changed() == world.all_files());
  for (const json& changes : world.applied) {
    const bool open = changes[0]["textDocument"]["uri"] == world.uri("a.py");
    CHECK(changes[0]["textDocument"]["version"] == (open ? json(1) : json()));
  }
}

TEST_CASE("a batch goes on through the end of the process, and each file is changed once") {
  World world;
  int kills_at = 0;
  SUBCASE("before there are prompts") {}
  SUBCASE("while it is read") {
    kills_at = 150;
  }
  SUBCASE("while it is written") {
    kills_at = 450;
  }
  SUBCASE("when all wait") {
    kills_at = 5'000;
  }
  world.connect(true);
  world.says_types();
  world.run_on(json::array({"*.py"}));
  world.host.advance(std::chrono::milliseconds(kills_at));
  world.kill();
  world.says_types();
  world.jobs().restore();
  world.model().load();
  world.connect(true);
  world.host.advance(60s);
  CHECK(world.states() == std::vector<std::string>(3, "waiting"));
  CHECK(world.applied.empty());
  for (const Job* job : world.jobs().all()) {
    world.command("hearth.session.apply", {{"job", job->id}});
    world.host.advance(1s);
  }
  CHECK(world.states() == std::vector<std::string>(3, "done"));
  CHECK(world.changed() == world.all_files());
}

TEST_CASE("all files of a batch are paused, resumed, applied and dismissed by its number") {
  World world;
  world.connect(true);
  world.says_types();
  const JobId batch = world.run_on("*.py")["batch"];
  world.host.advance(350ms);
  CHECK(world.command("hearth.session.pause", {{"job", batch}}) == nullptr);
  world.host.advance(60s);
  CHECK(world.states() == std::vector<std::string>(3, "paused"));
  world.says_types();
  CHECK(world.command("hearth.session.resume", {{"job", batch}}) == nullptr);
  world.host.advance(60s);
  CHECK(world.states() == std::vector<std::string>(3, "waiting"));
  SUBCASE("applied") {
    world.command("hearth.session.apply", {{"job", batch}});
    world.host.advance(1s);
    CHECK(world.changed() == world.all_files());
  }
  SUBCASE("dismissed") {
    world.command("hearth.session.dismiss", {{"job", batch}});
    world.host.advance(1s);
    CHECK(world.applied.empty());
  }
  CHECK(world.states() == std::vector<std::string>(3, "done"));
}

TEST_CASE("what cannot be done to any file of a batch is said") {
  World world;
  world.connect(true);
  world.says_types();
  const json batch{{"job", world.run_on("*.py")["batch"]}};
  world.host.advance(60s);
  CHECK(world.command("hearth.session.pause", batch)["message"] == "the job does not run");
  CHECK(world.command("hearth.session.dismiss", batch).is_null());
  CHECK(world.command("hearth.session.apply", batch)["message"] == "the job does not wait for you");
}

TEST_CASE("a file that changes while others are asked about is changed as it is by then") {
  World world;
  world.connect(true);
  world.says_types();
  const JobId batch = world.run_on("*.py")["batch"];
  world.host.advance(60s);
  world.file("b.py", "import sys\n\ndef b(x):\n    return x\n");
  world.file("lib/c.py", "def c(y):\n    return y + 1\n");
  world.command("hearth.session.apply", {{"job", batch}});
  world.host.advance(1s);
  CHECK(world.changed() == std::vector<std::string>{world.uri("a.py"), world.uri("b.py")});
  for (const json& changes : world.applied) {
    if (changes[0]["textDocument"]["uri"] == world.uri("b.py"))
      CHECK(changes[0]["edits"][0]["range"]["start"]["line"] == 2);
  }
}

TEST_CASE("one answer changes the files that were attached to it, and no other") {
  World world;
  world.connect(true);
  world.open("a.py", "def a(x):\n    return x\n");
  world.open("main.py", "from a import a\n\nprint(a(1))\n");
  const auto hunk = [](const std::string& file, const std::string& old, const std::string& now) {
    return file + "\n<<<<<<< SEARCH\n" + old + "\n=======\n" + now + "\n>>>>>>> REPLACE\n\n";
  };
  const std::string own = hunk("a.py", "def a(x):", "def same(x):");
  const std::string opened =
      hunk("main.py", "from a import a\n\nprint(a(1))", "from a import same\n\nprint(same(1))");
  const std::string closed = hunk("b.py", "def b(x):", "def other(x):");
  const json whole = {{"start", {{"line", 0}, {"character", 0}}},
                      {"end", {{"line", 1}, {"character", 12}}}};
  json arguments = {{"uri", world.uri("a.py")},
                    {"range", whole},
                    {"instruction", "Rename a to same."},
                    {"attached",
                     {{{"uri", world.uri("main.py")}},
                      {{"uri", world.uri("b.py")}},
                      {{"uri", world.uri("a.py")}},
                      {{"uri", world.uri("main.py")}}}}};
  const auto edit = [&] {
    const json reply = world.command("hearth.server.edit", arguments);
    world.host.advance(60s);
    return reply;
  };

  SUBCASE("in one edit, open or not") {
    world.model().say({own, opened, closed});
    CHECK(edit().is_null());
    std::string prompt;
    for (const Segment& segment : world.model().prompts.back().messages.back().segments)
      prompt += segment.text;
    CHECK(prompt.find("main.py:\n\n```python\nfrom a import a\n") != prompt.npos);
    CHECK(prompt.find("b.py:\n\n```python\ndef b(x):\n") != prompt.npos);
    CHECK(prompt.find("write the file's path on a line of its own") != prompt.npos);
    REQUIRE(world.applied.size() == 1);
    CHECK(world.changed() ==
          std::vector<std::string>{world.uri("a.py"), world.uri("b.py"), world.uri("main.py")});
    for (const json& change : world.applied[0]) {
      const bool open = change["textDocument"]["uri"] != world.uri("b.py");
      CHECK(change["textDocument"]["version"] == (open ? json(1) : json()));
    }
  }
  SUBCASE("not one that was not named") {
    world.model().say({own, hunk("lib/c.py", "def c(x):", "def third(x):")});
    edit();
    CHECK(world.applied.empty());
    CHECK(world.jobs().all().at(0)->settled->text->starts_with("Nothing was changed: "));
  }
  SUBCASE("not while one of them is another than it was shown") {
    world.model().say({own, closed});
    world.command("hearth.server.edit", arguments);
    world.host.advance(100ms);
    world.file("b.py", "def b(y):\n    return y\n");
    world.host.advance(60s);
    CHECK(world.applied.empty());
    CHECK(world.jobs().all().at(0)->settled->text->starts_with("Nothing was changed: "));
  }
  SUBCASE("nothing where one cannot be shown whole") {
    world.file("b.py", std::string(40'000, '#') + "\n");
    edit();
    CHECK(world.jobs().all().at(0)->error ==
          "b.py is longer than the model can be shown beside the code");
  }
  SUBCASE("nothing where one is not to be seen") {
    arguments["attached"] = {{{"uri", world.uri("credentials.json")}}};
    CHECK(edit()["message"] ==
          "credentials.json looks like a file of secrets: it is not shown to the model");
    CHECK(world.jobs().all().empty());
  }
}

TEST_CASE("what cannot be run on files says why") {
  World world;
  world.connect(true);
  const auto message = [](const json& error) { return error.value("message", ""); };
  CHECK(message(world.run_on("*.rs")).starts_with("no file matches"));
  CHECK(message(world.run_on("built/*")).starts_with("no file matches"));
  CHECK(message(world.run_on("*.py", "explain")).find("none that changes code") !=
        std::string::npos);
  CHECK(message(world.run_on("*.py", "sing")).find("none that changes code") != std::string::npos);
  CHECK(message(world.run_on(json::array())).find("\"files\" is empty") != std::string::npos);
  CHECK(message(world.run_on(json::array({3}))).find("not a pattern") != std::string::npos);
  CHECK(message(world.command("hearth.session.runOnFiles", {{"action", "edit"}, {"files", "*.py"}}))
            .find("Say what you want") != std::string::npos);
  for (int i = 0; i < 201; ++i) world.file("many/" + std::to_string(i) + ".py", "x = 1\n");
  CHECK(message(world.run_on("many/*.py")) == "more than 200 files match: name fewer at a time");
  CHECK(world.jobs().all().empty());
}

}  // namespace hearth::lsp::test
