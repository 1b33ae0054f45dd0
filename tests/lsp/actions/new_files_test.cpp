// New files that the answer to an edit of several files proposes: made by an editor that asks
// before, shown as a patch to any other, never over what is there, and once.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/actions/unopened.hpp"
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

const std::string own_text = "def a(x):\n    return x\n";
const std::string new_text = "def b(x):\n    return x\n";

std::string block(const std::string& path, const std::string& search, const std::string& replace) {
  return path + "\n<<<<<<< SEARCH\n" + search + "=======\n" + replace + ">>>>>>> REPLACE\n\n";
}

// Two files in a folder, of which an editor has one open.
struct Project {
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

  tests::TemporaryDirectory directory;
  fs::path root = fs::canonical(directory.path()) / "p";
  VirtualHost host;
  std::vector<std::unique_ptr<Process>> processes;  // the last one lives
  std::unique_ptr<Server> server;
  std::vector<json> sent;
  int messages = 0;
  json workspace_edit = {{"documentChanges", true},
                         {"resourceOperations", {"create"}},
                         {"changeAnnotationSupport", json::object()}};
  std::string editor = "Visual Studio Code";

  Project() {
    host.files = root.parent_path().string();
    file("a.py", own_text);
    file("main.py", "from a import a\n");
    file(".gitignore", "built/\n");
    fs::create_directories(root.parent_path() / "elsewhere");
    processes.push_back(std::make_unique<Process>(host));
    model().load();
  }
  ScriptedModel& model() { return processes.back()->model; }
  Jobs& jobs() { return *processes.back()->jobs; }
  const Job& job() { return *jobs().all().at(0); }

  void file(const std::string& name, const std::string& text) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary) << text;
  }
  std::string uri(const std::string& name) const { return file_uri((root / name).string()); }
  std::string why_not(const std::string& name) const {
    const std::vector<std::string> folders{file_uri(root.string())};
    return creation_refusal(uri(name), folders, host);
  }

  void send(json message) {
    message["jsonrpc"] = "2.0";
    server->receive(message.dump());
    host.run();
  }
  void connect() {
    server = std::make_unique<Server>(host, model(), jobs(), ServerOptions{},
                                      [this](const json& message) { sent.push_back(message); });
    send({{"id", 0},
          {"method", "initialize"},
          {"params",
           {{"processId", 7},
            {"clientInfo", {{"name", editor}}},
            {"capabilities",
             {{"workspace", {{"applyEdit", true}, {"workspaceEdit", workspace_edit}}}}},
            {"initializationOptions", {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}}},
            {"workspaceFolders", {{{"uri", file_uri(root.string())}, {"name", "p"}}}}}}});
    send({{"method", "initialized"}});
    open("a.py", own_text);
    sent.clear();
  }
  void open(const std::string& name, const std::string& text) {
    send({{"method", "textDocument/didOpen"},
          {"params",
           {{"textDocument",
             {{"uri", uri(name)}, {"languageId", "python"}, {"version", 1}, {"text", text}}}}}});
  }
  void command(const std::string& name, json arguments) {
    send({{"id", ++messages},
          {"method", "workspace/executeCommand"},
          {"params", {{"command", name}, {"arguments", json::array({std::move(arguments)})}}}});
  }
  // Asks for a change of a.py and, where it is attached, main.py.
  void edit(const std::string& answer, bool attached = true, bool review = false) {
    model().say({answer});
    json arguments = {
        {"uri", uri("a.py")},
        {"range",
         {{"start", {{"line", 0}, {"character", 0}}}, {"end", {{"line", 1}, {"character", 12}}}}},
        {"instruction", "Add b."},
        {"review", review}};
    if (attached) arguments["attached"] = {{{"uri", uri("main.py")}}};
    command("hearth.server.edit", arguments);
    host.advance(60s);
  }
  std::vector<json> asked() const {  // workspace/applyEdit
    std::vector<json> found;
    for (const json& message : sent) {
      if (message.value("method", "") == "workspace/applyEdit") found.push_back(message);
    }
    return found;
  }
  void answer(const json& request, json result) {
    send({{"id", request["id"]}, {"result", std::move(result)}});
    host.advance(1s);
  }
  std::string prompt() {
    std::string text;
    for (const Segment& segment : model().prompts.back().messages.back().segments)
      text += segment.text;
    return text;
  }
  void kill() {
    std::vector<JobRecord> records = processes.back()->store.records();
    server.reset();
    processes.back()->jobs.reset();
    processes.push_back(std::make_unique<Process>(host, std::move(records)));
    jobs().restore();
    model().load();
    sent.clear();
  }
  std::string read_of_job() { return job().settled.value().text.value_or("(nothing)"); }
};

const std::string both =
    block("a.py", "def a(x):\n", "def aa(x):\n") + block("lib/b.py", "", new_text);

}  // namespace

TEST_CASE("a new file goes to an editor that asks before, first of all and never over another") {
  Project project;
  project.connect();
  project.edit(both);
  CHECK(project.prompt().find("For a new file, write its path") != std::string::npos);
  REQUIRE(project.asked().size() == 1);
  const json edit = project.asked()[0]["params"]["edit"];
  const json& changes = edit["documentChanges"];
  REQUIRE(changes.size() == 3);
  CHECK(changes[0] == json{{"kind", "create"},
                           {"uri", project.uri("lib/b.py")},
                           {"options", {{"overwrite", false}, {"ignoreIfExists", false}}},
                           {"annotationId", "hearth-new-file"}});
  CHECK(changes[1]["textDocument"] == json{{"uri", project.uri("lib/b.py")}, {"version", nullptr}});
  CHECK(changes[1]["edits"].size() == 1);
  CHECK(changes[1]["edits"][0]["newText"] == new_text);
  CHECK(changes[1]["edits"][0]["annotationId"] == "hearth-new-file");
  CHECK(changes[2]["textDocument"]["uri"] == project.uri("a.py"));
  CHECK(edit["changeAnnotations"]["hearth-new-file"]["needsConfirmation"] == true);
  project.answer(project.asked()[0], {{"applied", true}});
  CHECK(project.job().state == JobState::done);
  CHECK_FALSE(project.job().settled->text);
}

TEST_CASE("the model is told of new files only where it may propose one") {
  Project project;
  project.connect();
  project.edit(both, false);
  CHECK(project.prompt().find("For a new file") == std::string::npos);
  CHECK(project.asked().empty());
  CHECK(project.read_of_job().find("lib/b.py, which it was not asked about") != std::string::npos);
}

TEST_CASE("where an editor does not ask before it makes a file, its person is asked first") {
  Project project;
  project.workspace_edit.erase("changeAnnotationSupport");
  project.connect();
  project.edit(both);
  CHECK(project.asked().empty());
  CHECK(project.job().state == JobState::waiting);
  CHECK(project.job().offer.find("--- /dev/null\n+++ b/lib/b.py\n") != std::string::npos);
  project.command("hearth.session.apply", {{"job", project.job().id}});
  project.host.advance(1s);
  REQUIRE(project.asked().size() == 1);
  const json edit = project.asked()[0]["params"]["edit"];
  CHECK_FALSE(edit.contains("changeAnnotations"));
  CHECK(edit["documentChanges"][0] ==
        json{{"kind", "create"},
             {"uri", project.uri("lib/b.py")},
             {"options", {{"overwrite", false}, {"ignoreIfExists", false}}}});
}

TEST_CASE("an editor that makes no files, or empties those that are there, is shown a patch") {
  Project project;
  SUBCASE("it makes none") {
    project.workspace_edit.erase("resourceOperations");
  }
  SUBCASE("it empties them, whatever it is told") {
    project.editor = "Neovim";
  }
  project.connect();
  project.edit(both);
  CHECK(project.asked().empty());
  const std::string text = project.read_of_job();
  CHECK(text.starts_with("Nothing was changed: this editor makes no new files. "));
  CHECK(text.find("new file mode 100644\n--- /dev/null\n+++ b/lib/b.py\n@@ -0,0 +1,2 @@\n"
                  "+def b(x):\n+    return x\n") != std::string::npos);
  CHECK(text.find("--- a/a.py\n+++ b/a.py\n") != std::string::npos);
}

TEST_CASE("what is there by then is not overwritten, and the answer is kept") {
  Project project;
  project.connect();
  SUBCASE("on the disk") {
    project.file("lib/b.py", "mine\n");
    project.edit(both);
    CHECK(project.asked().empty());
    CHECK(project.read_of_job().starts_with(
        "Nothing was changed: lib/b.py is there already, and is not overwritten. "));
  }
  SUBCASE("in the editor, not written yet") {
    project.open("lib/b.py", "mine\n");
    project.edit(both);
    CHECK(project.asked().empty());
    CHECK(project.read_of_job().starts_with("Nothing was changed: lib/b.py was opened meanwhile."));
  }
  SUBCASE("since a person was shown it") {
    project.edit(both, true, true);
    CHECK(project.job().offer.find("+++ b/lib/b.py") != std::string::npos);
    project.file("lib/b.py", "mine\n");
    project.command("hearth.session.apply", {{"job", project.job().id}});
    project.host.advance(1s);
    CHECK(project.asked().empty());
    CHECK(project.read_of_job().find("is there already") != std::string::npos);
  }
  SUBCASE("as the editor finds") {
    project.edit(both);
    project.answer(project.asked().at(0), {{"applied", false}, {"failureReason", "it exists"}});
    CHECK(project.read_of_job().starts_with("Nothing was changed: it exists. "));
  }
  CHECK(project.read_of_job().find("+def b(x):") != std::string::npos);
}

TEST_CASE("links, ignored files and secrets lead nowhere") {
  Project project;
  fs::create_directory_symlink(project.root.parent_path() / "elsewhere", project.root / "out");
  fs::create_directory_symlink(project.root / "built", project.root / "dangling");
  fs::create_directories(project.root / ".git");
  fs::create_directory_symlink(project.root / ".git", project.root / "repository");
  fs::create_symlink(project.root.parent_path() / "elsewhere/x.py", project.root / "link.py");
  fs::create_directories(project.root / "lib/nested/.git");
  fs::create_directory_symlink(project.root / "lib", project.root / "same");
  project.file("lib/nested/.gitignore", "*.log\n");
  CHECK(project.why_not("out/x.py") == "out/x.py would be outside of the workspace");
  CHECK(project.why_not("dangling/x.py") == "dangling/x.py would be outside of the workspace");
  CHECK(project.why_not("repository/hooks/x") ==
        "repository/hooks/x would be a file that hearth never makes");
  CHECK(project.why_not("link.py") == "link.py is there already, and is not overwritten");
  CHECK(project.why_not("built/x.py") == "built/x.py is a file that git ignores");
  CHECK(project.why_not("lib/nested/a.log") == "lib/nested/a.log is a file that git ignores");
  CHECK(project.why_not("lib/id_rsa") == "lib/id_rsa looks like a file of secrets");
  CHECK(project.why_not("../elsewhere/x.py").ends_with("would be outside of the workspace"));
  CHECK(project.why_not("nowhere/../../x.py").ends_with("would be outside of the workspace"));
  CHECK(project.why_not("same/x.py").empty());
  CHECK(project.why_not("new/folder/x.py").empty());
  project.connect();
  project.edit(block("a.py", "def a(x):\n", "def aa(x):\n") + block("out/b.py", "", new_text));
  CHECK(project.asked().empty());
  CHECK(project.read_of_job().starts_with(
      "Nothing was changed: out/b.py would be outside of the workspace. "));
}

TEST_CASE("a file that git ignores, of secrets or of the repository is not changed either") {
  Project project;
  const std::vector<std::string> folders{file_uri(project.root.string())};
  const auto why_not = [&](const std::string& name) {
    return edit_refusal({project.uri(name), 1, {}}, folders, project.host);
  };
  project.file("built/x.py", own_text);
  project.file(".env", "KEY=1\n");
  project.file("lib/.idea/x.py", own_text);
  fs::create_symlink(".idea/x.py", project.root / "lib/link.py");
  fs::create_symlink("../.env", project.root / "lib/settings.py");
  CHECK(why_not("a.py").empty());
  CHECK(why_not("not/written/yet.py").empty());
  CHECK(why_not("built/x.py") == "built/x.py is a file that git ignores");
  CHECK(why_not(".env") == ".env looks like a file of secrets");
  CHECK(why_not("lib/.idea/x.py") == "lib/.idea/x.py is a file that hearth never changes");
  CHECK(why_not("lib/link.py") == "lib/link.py is a file that hearth never changes");
  CHECK(why_not("lib/settings.py") == "lib/settings.py looks like a file of secrets");
  CHECK(edit_refusal({"untitled:1", 1, {}}, folders, project.host).empty());

  project.connect();
  project.open("built/x.py", own_text);
  project.model().say({"```python\ndef b(x):\n    return x\n```\n"});
  project.command(
      "hearth.server.edit",
      {{"uri", project.uri("built/x.py")},
       {"range",
        {{"start", {{"line", 0}, {"character", 0}}}, {"end", {{"line", 1}, {"character", 12}}}}},
       {"instruction", "Call it b."}});
  project.host.advance(60s);
  CHECK(project.asked().empty());
  CHECK(project.read_of_job().starts_with(
      "Nothing was changed: built/x.py is a file that git ignores. "));
}

TEST_CASE("what is in the repository is changed whatever its rules say") {
  Project project;
  const std::string git = "git -C '" + project.root.string() + "' ";
  project.file("built/x.py", own_text);
  if (std::system((git + "init -q 2>/dev/null").c_str()) != 0) {
    MESSAGE("skipped: git is not here");
    return;
  }
  REQUIRE(std::system((git + "add -f built/x.py").c_str()) == 0);
  const std::vector<std::string> folders{file_uri(project.root.string())};
  CHECK(edit_refusal({project.uri("built/x.py"), 1, {}}, folders, project.host).empty());
}

TEST_CASE("a new file that does not parse is asked for once more, and then not made") {
  Project project;
  project.connect();
  project.model().say({block("lib/b.py", "", "def b(:\n    return (\n")});
  project.edit(block("lib/b.py", "", "def b(:\n    return (\n"));
  CHECK(project.asked().empty());
  REQUIRE(project.jobs().all().size() == 2);
  CHECK(project.jobs().all()[1]->request.title.find("second try") != std::string::npos);
  CHECK(project.jobs().all()[1]->request.new_files_in == file_uri(project.root.string()));
}

TEST_CASE("a process that ends between sending and the editor's word makes no file twice") {
  Project project;
  project.connect();
  project.edit(both);
  REQUIRE(project.asked().size() == 1);
  REQUIRE(project.job().sent.size() == 2);
  project.kill();
  SUBCASE("it is there as it was sent") {
    project.file("lib/b.py", new_text);
    project.file("a.py", "def aa(x):\n    return x\n");
    project.connect();
    project.send({{"method", "textDocument/didChange"},
                  {"params",
                   {{"textDocument", {{"uri", project.uri("a.py")}, {"version", 2}}},
                    {"contentChanges", {{{"text", "def aa(x):\n    return x\n"}}}}}}});
    project.host.advance(5s);
    CHECK(project.asked().empty());
    CHECK(project.job().state == JobState::done);
    CHECK_FALSE(project.job().settled->text);
  }
  SUBCASE("it is not there: it waits for the person, who makes it") {
    project.connect();
    project.host.advance(5s);
    CHECK(project.asked().empty());
    CHECK(project.job().state == JobState::waiting);
    CHECK(project.job().offer.find("+++ b/lib/b.py") != std::string::npos);
    project.command("hearth.session.apply", {{"job", project.job().id}});
    project.host.advance(1s);
    REQUIRE(project.asked().size() == 1);
    CHECK(project.asked()[0]["params"]["edit"]["documentChanges"][0]["kind"] == "create");
    project.answer(project.asked()[0], {{"applied", true}});
    CHECK(project.job().state == JobState::done);
  }
  SUBCASE("something else is there: nobody can tell") {
    project.file("lib/b.py", "mine\n");
    project.connect();
    project.host.advance(5s);
    CHECK(project.asked().empty());
    CHECK(project.job().state == JobState::done);
    CHECK(project.read_of_job().find("It is not made again") != std::string::npos);
    CHECK(project.read_of_job().find("def b(x):") != std::string::npos);
  }
}

}  // namespace hearth::lsp::test
