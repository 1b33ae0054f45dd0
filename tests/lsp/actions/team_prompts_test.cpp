// The prompts of a repository's team: none is used before a person has confirmed what is in them,
// nor after that has changed; what they may be; and that it shows whose words they are.
#include "lsp/actions/team_prompts.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "lsp/jobs/memory_store.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/server.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::lsp::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct RememberedTrust : PromptTrust {
  std::map<std::string, std::string> hashes;
  bool full = false;
  std::string confirmed(const std::string& folder) const override {
    const auto found = hashes.find(folder);
    return found != hashes.end() ? found->second : "";
  }
  void confirm(const std::string& folder, const std::string& hash) override {
    if (full) throw std::runtime_error("the disk is full");
    hashes[folder] = hash;
  }
};

using Prompts = std::map<std::string, std::string>;  // texts by file name

// An editor with one document in a workspace on the disk.
struct Editor {
  tests::TemporaryDirectory directory;
  fs::path root = fs::canonical(directory.path()) / "project";
  VirtualHost host;
  RememberedTrust trust;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  std::vector<json> sent;
  std::optional<Wording> user_wording;
  std::unique_ptr<Server> server;

  explicit Editor(const Prompts& prompts = {}) {
    host.files = root.parent_path().string();
    fs::create_directories(root);
    for (const auto& [name, text] : prompts) write(name, text);
    model.load();
    begin();
  }
  void begin() {
    ServerOptions options;
    options.prompt_trust = &trust;
    options.user_wording = [this](const std::string& action) {
      return action == "explain" ? user_wording : std::nullopt;
    };
    server = std::make_unique<Server>(host, model, jobs, options,
                                      [this](const json& message) { sent.push_back(message); });
    const json literals = {{"codeActionKind", {{"valueSet", json::array()}}}};
    send({{"id", 0},
          {"method", "initialize"},
          {"params",
           {{"workspaceFolders", json::array({{{"uri", folder()}, {"name", "p"}}})},
            {"capabilities",
             {{"textDocument", {{"codeAction", {{"codeActionLiteralSupport", literals}}}}}}}}}});
    send({{"method", "initialized"}, {"params", json::object()}});
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", folder() + "/stats.py"},
              {"languageId", "python"},
              {"version", 1},
              {"text", "def average(values):\n    return sum(values) / len(values)\n"}}}}}});
  }
  std::string folder() const { return file_uri(root.string()); }
  fs::path prompts() const { return root / ".hearth" / "prompts"; }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(prompts());
    std::ofstream(prompts() / name, std::ios::binary) << text;
  }
  json send(json message) {
    message["jsonrpc"] = "2.0";
    sent.clear();
    server->receive(message.dump());
    host.run();
    for (const json& each : sent) {
      if (each.contains("id") && !each.contains("method")) return each;
    }
    return {};
  }
  json execute(const std::string& command, const json& argument) {
    return send({{"id", 2},
                 {"method", "workspace/executeCommand"},
                 {"params", {{"command", command}, {"arguments", json::array({argument})}}}});
  }
  // The only folder's.
  json team() {
    return execute("hearth.session.teamPrompts", json::object())["result"]["folders"].at(0);
  }
  json use(const std::string& hash) {
    return execute("hearth.session.useTeamPrompts", {{"folder", folder()}, {"hash", hash}});
  }
  // The team's own actions in the menu; as many menus as it takes to see what is on the disk.
  std::vector<json> listed() {
    std::vector<json> own;
    for (int menus = 0; menus < 2; ++menus) {
      own.clear();
      const json whole = {{"start", {{"line", 0}, {"character", 0}}},
                          {"end", {{"line", 1}, {"character", 36}}}};
      const json answer = send({{"id", 1},
                                {"method", "textDocument/codeAction"},
                                {"params",
                                 {{"textDocument", {{"uri", folder() + "/stats.py"}}},
                                  {"range", whole},
                                  {"context", {{"diagnostics", json::array()}}}}}});
      for (const json& each : answer["result"]) {
        if (each["command"]["arguments"][0].contains("prompt")) own.push_back(each);
      }
    }
    return own;
  }
  json choose(const json& listed) {
    return execute(listed["command"]["command"], listed["command"]["arguments"][0]);
  }
  json explain() {
    const json place = {{"line", 1}, {"character", 4}};
    return execute("hearth.server.explain", {{"uri", folder() + "/stats.py"},
                                             {"range", {{"start", place}, {"end", place}}}});
  }
  const Segment& instruction() const {
    for (const Segment& segment : model.prompts.back().messages.back().segments) {
      if (segment.provenance == Provenance::instruction) return segment;
    }
    throw std::runtime_error("the prompt has no instruction");
  }
  const Job& last_job() const { return *jobs.all().back(); }
};

}  // namespace

TEST_CASE("a team's wording is used once its content is confirmed, and not when that has changed") {
  Editor editor(Prompts{{"explain.md", "Explain {subject} to a colleague.\n"}});
  editor.explain();
  CHECK(editor.instruction().text == "Explain what this code does.");

  const json team = editor.team();
  CHECK(team["confirmed"] == "");
  CHECK(team["prompts"] == json::array({{{"name", "explain"},
                                         {"path", ".hearth/prompts/explain.md"},
                                         {"action", "explain"},
                                         {"text", "Explain {subject} to a colleague."}}}));
  CHECK(editor.use(team["hash"]).contains("result"));
  editor.explain();
  CHECK(editor.instruction().text == "Explain average to a colleague.");
  CHECK(editor.instruction().why == "the team's, .hearth/prompts/explain.md");
  CHECK(editor.last_job().request.title == "Explain average (the team's words)");

  editor.write("explain.md", "Explain {subject} to a stranger.\n");
  editor.explain();
  CHECK(editor.instruction().text == "Explain what this code does.");
  CHECK(editor.last_job().request.title == "Explain average");
  const json changed = editor.team();
  CHECK(changed["confirmed"] == team["hash"]);
  CHECK(changed["hash"] != team["hash"]);

  editor.use(changed["hash"]);
  editor.explain();
  CHECK(editor.instruction().text == "Explain average to a stranger.");
  editor.use("");
  editor.explain();
  CHECK(editor.instruction().text == "Explain what this code does.");
}

TEST_CASE("what a person has not seen cannot be confirmed") {
  Editor editor(Prompts{{"explain.md", "One."}});
  const std::string seen = editor.team()["hash"];
  editor.write("review.md", "Two.");
  const json refused = editor.use(seen);
  CHECK(refused["error"]["message"] ==
        "the team's prompts have changed meanwhile: look at them again");
  CHECK(editor.trust.hashes.empty());
  CHECK(editor.execute("hearth.session.useTeamPrompts",
                       {{"folder", "file:///elsewhere"}, {"hash", ""}})["error"]["code"] == -32602);
  editor.trust.full = true;
  CHECK(editor.use(editor.team()["hash"])["error"]["message"] == "the disk is full");
}

TEST_CASE("the hash is of all names and texts") {
  Editor editor(Prompts{{"explain.md", "One."}, {"review.md", "Two."}});
  const json first = editor.team()["hash"];
  fs::rename(editor.prompts() / "review.md", editor.prompts() / "tests.md");
  const json renamed = editor.team()["hash"];
  CHECK(renamed != first);
  fs::rename(editor.prompts() / "tests.md", editor.prompts() / "review.md");
  CHECK(editor.team()["hash"] == first);
  fs::remove_all(editor.prompts());
  CHECK(editor.team()["hash"] == "");
}

TEST_CASE("a user's own wording goes before the team's") {
  Editor editor(Prompts{{"explain.md", "Explain it as we do."}});
  editor.use(editor.team()["hash"]);
  editor.user_wording = Wording{"/home/ada/explain.md", "Explain it as I like it."};
  editor.explain();
  CHECK(editor.instruction().text == "Explain it as I like it.");
  CHECK(editor.instruction().why == "/home/ada/explain.md");
  CHECK(editor.last_job().request.title == "Explain average");
}

TEST_CASE("a team's own actions are in the menu: one that answers, one that changes code") {
  Editor editor(
      Prompts{{"house-rules.md", "# House rules\n\nWhich of our rules does {subject} break?\n"},
              {"log.edit.md", "Add logging to {subject}."}});
  CHECK(editor.listed().empty());
  editor.use(editor.team()["hash"]);
  const std::vector<json> own = editor.listed();
  REQUIRE(own.size() == 2);
  CHECK(own[0]["title"] == "House rules (the team's)");
  CHECK(own[0]["kind"] == "hearth.ask.house-rules");
  CHECK(own[1]["title"] == "log (the team's)");
  CHECK(own[1]["kind"] == "refactor.rewrite.edit.log.edit");

  editor.choose(own[0]);
  CHECK(editor.instruction().text == "Which of our rules does average break?");
  CHECK(editor.last_job().request.action == "ask");
  CHECK(editor.last_job().request.title == "House rules: average (the team's words)");
  editor.choose(own[1]);
  CHECK(editor.instruction().text.starts_with("Add logging to average. "));
  CHECK(editor.last_job().request.form == AnswerForm::whole_code);

  // A menu that is older than what is on the disk promises nothing.
  editor.write("log.edit.md", "Remove all of {subject}.");
  const std::size_t asked = editor.model.prompts.size();
  editor.choose(own[1]);
  CHECK(editor.model.prompts.size() == asked);
  CHECK(editor.last_job().state == JobState::failed);
  CHECK(editor.last_job().error.find("have changed since they were confirmed") !=
        std::string::npos);
  CHECK(editor.listed().empty());
}

TEST_CASE("what was confirmed in one session counts in the next one") {
  Editor editor(Prompts{{"house-rules.md", "Which of our rules does {subject} break?"}});
  editor.use(editor.team()["hash"]);
  editor.begin();
  CHECK(editor.listed().size() == 1);
}

TEST_CASE("a file that is no prompt is not used, and it is said why") {
  Editor editor(Prompts{{"explain.md", "In {tongue}."},
                        {"Big Words.md", "No."},
                        {"empty.md", "\n"},
                        {"binary.md", "\xff"},
                        {"notes.txt", "none of ours"},
                        {"review.md", "Review it."}});
  fs::create_symlink("review.md", editor.prompts() / "tests.md");
  const json team = editor.team();
  CHECK(team["prompts"].size() == 1);
  const auto ignored = team["ignored"].get<std::vector<std::string>>();
  REQUIRE(ignored.size() == 4);
  CHECK(ignored[0] ==
        ".hearth/prompts/Big Words.md is not used: its name is to be lower-case letters, digits "
        "and hyphens");
  CHECK(ignored[1] ==
        ".hearth/prompts/binary.md is not used: it is no text, or longer than 65536 bytes");
  CHECK(ignored[2] == ".hearth/prompts/empty.md is not used: it is empty");
  CHECK(ignored[3].find("line 1: there is no variable {tongue}") != std::string::npos);
}

TEST_CASE("a folder of prompts that lies outside of the workspace is none of its") {
  Editor editor;
  const fs::path outside = editor.root.parent_path() / "outside";
  fs::create_directories(outside);
  std::ofstream(outside / "explain.md") << "Explain it.";
  fs::create_directories(editor.root / ".hearth");
  fs::create_directory_symlink(outside, editor.prompts());
  CHECK(editor.team()["prompts"].empty());
  CHECK(editor.team()["hash"] == "");
}

TEST_CASE("the innermost folder that a document is in has its prompts") {
  const std::vector<std::string> folders{"file:///a", "file:///a/b", "file:///c"};
  CHECK(team_folder("file:///a/x.py", folders) == "file:///a");
  CHECK(team_folder("file:///a/b/x.py", folders) == "file:///a/b");
  CHECK(team_folder("file:///ab/x.py", folders).empty());
  CHECK(team_folder("", folders).empty());
  CHECK(team_folder("", std::vector<std::string>{"file:///a"}) == "file:///a");
}

}  // namespace hearth::lsp::test
