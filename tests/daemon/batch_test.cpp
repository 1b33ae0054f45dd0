// One action on forty files, through a pause and the end of daemon and editor: each change waits
// until another editor's person has seen it, and is made once.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/kills/moments.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::tests;
using hearth::daemon::ScriptedEditor;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t files = 40;
constexpr std::size_t refused = 5;  // changes that the person does not want

std::string function(std::size_t number) {
  std::string text = average;
  return text.insert(text.find('('), std::to_string(number));
}

std::string name(std::size_t number) {
  return "average" + std::to_string(100 + number) + ".py";
}

// An editor that has the project open, and what it has been told of the batch's jobs.
class ProjectEditor {
 public:
  ProjectEditor(const Home& home, const fs::path& project, const std::string& name)
      : editor_(home.editor(true)) {
    editor_.on_notification = [this](const std::string& method, const Json& params) {
      if (method != "hearth/jobState") return;
      Shown& job = shown_[params["id"].get<std::uint64_t>()];
      job.state = params["state"];
      job.text = params.value("text", job.text);
    };
    editor_.request(
        "initialize",
        {{"processId", nullptr},
         {"clientInfo", {{"name", name}}},
         {"rootUri", nullptr},
         {"workspaceFolders",
          Json::array({{{"uri", "file://" + project.string()}, {"name", "project"}}})},
         {"capabilities",
          {{"workspace", {{"applyEdit", true}, {"workspaceEdit", {{"documentChanges", true}}}}}}},
         {"initializationOptions", {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}}}});
    editor_.notify("initialized", Json::object());
  }

  struct Shown {
    std::string state;
    std::string text;
  };

  Json command(const std::string& command, const Json& arguments) {
    return editor_.request("workspace/executeCommand",
                           {{"command", command}, {"arguments", Json::array({arguments})}});
  }
  // The files that it was told to change, each as often as it was.
  std::vector<std::string> changed() const {
    std::vector<std::string> uris;
    for (const Json& request : editor_.server_requests()) {
      if (request["method"] != "workspace/applyEdit") continue;
      for (const Json& change : request["params"]["edit"]["documentChanges"])
        uris.push_back(change["textDocument"]["uri"]);
    }
    std::ranges::sort(uris);
    return uris;
  }
  std::size_t count(const std::string& state) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        shown_, [&](const auto& each) { return each.second.state == state; }));
  }
  void until_there_are(std::size_t wanted, const std::string& state) {
    editor_.until([&] { return count(state) >= wanted; });
  }
  const std::map<std::uint64_t, Shown>& shown() const { return shown_; }
  ScriptedEditor& editor() { return editor_; }

 private:
  ScriptedEditor editor_;
  std::map<std::uint64_t, Shown> shown_;
};

std::map<std::string, std::size_t> states(const Home& home) {
  std::map<std::string, std::size_t> states;
  const Json status = home.status();
  for (const Json& job : status["jobs"]) ++states[job["state"].get<std::string>()];
  return states;
}

}  // namespace

TEST_CASE("a batch that is paused, killed with its editor and reviewed in another is made once") {
  ::signal(SIGPIPE, SIG_IGN);
  const Home home;
  const TemporaryDirectory directory;
  const fs::path project = fs::canonical(directory.path());
  for (std::size_t i = 0; i < files; ++i)
    hearth::daemon::write_file(project / name(i), function(i));

  ProjectEditor first(home, project, "first");
  const Json begun = first.command("hearth.session.runOnFiles",
                                   {{"action", "document"}, {"files", Json::array({"*.py"})}});
  REQUIRE(begun["files"] == files);
  const Json batch{{"job", begun["batch"]}};
  first.until_there_are(1, "waiting");
  first.command("hearth.session.pause", batch);
  first.editor().until([&] { return first.count("waiting") + first.count("paused") == files; });
  const auto paused = states(home);
  CHECK(paused.contains("paused"));
  // What runs stops within its step.
  const auto queued = [&] { return home.status()["model"]["queue"]["background"].get<int>(); };
  for (int looks = 0; looks < 1'000 && queued() > 0; ++looks) ::poll(nullptr, 0, 5);
  CHECK(queued() == 0);
  first.command("hearth.session.resume", batch);
  first.until_there_are(first.count("waiting") + 2, "waiting");
  const std::size_t written = first.count("waiting");
  CHECK(first.changed().empty());

  // The machine goes.
  const pid_t server = first.editor().process().pid();
  REQUIRE(kill_daemon(home));
  ::kill(server, SIGKILL);

  ProjectEditor second(home, project, "second");
  second.until_there_are(files, "waiting");
  CHECK(states(home) == std::map<std::string, std::size_t>{{"waiting", files}});
  CHECK(second.shown().size() == files);
  for (const auto& [job, shown] : second.shown()) {
    CAPTURE(job);
    CHECK(contains(shown.text, "+    \"\"\"Return the average of the values.\"\"\""));
  }
  CHECK(second.changed().empty());

  std::vector<std::uint64_t> jobs;
  for (const auto& [job, shown] : second.shown()) jobs.push_back(job);
  for (std::size_t i = 0; i < refused; ++i)
    second.command("hearth.session.dismiss", {{"job", jobs[i * 7]}});
  CHECK(second.changed().empty());
  second.command("hearth.session.apply", batch);
  second.until_there_are(files, "done");
  std::vector<std::string> changed = second.changed();
  CHECK(changed.size() == files - refused);
  CHECK(std::ranges::adjacent_find(changed) == changed.end());

  // Nothing is left for a third, once what was made is written down: what asks for a later job is
  // answered after that.
  second.command("hearth.server.chat", {{"instruction", "Is it done?"}});
  REQUIRE(kill_daemon(home));
  ::kill(second.editor().process().pid(), SIGKILL);
  ProjectEditor third(home, project, "third");
  // Whatever was to be sent is sent before this is answered.
  third.command("hearth.session.snooze", {{"minutes", 0}});
  CHECK(third.changed().empty());
  const auto left = states(home);
  CHECK(left.at("done") >= files);
  CHECK_FALSE(left.contains("waiting"));
  MESSAGE(files << " files: " << written << " changes waited when daemon and editor were killed, "
                << files << " in the other editor; " << changed.size() << " made, " << refused
                << " refused, none twice, none unseen");
  CHECK(third.editor().quit() == 0);
}
