// `hearth jobs apply` while no editor is there: the change is printed as a patch, and still waits.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

// Documents average() for an editor that has the project open, waits until the change can be
// decided on, and quits.
void leave_a_change(const Home& home, const fs::path& project) {
  auto editor = home.editor(true);
  std::string state;
  editor.on_notification = [&](const std::string& method, const Json& params) {
    if (method == "hearth/jobState") state = params["state"];
  };
  editor.request(
      "initialize",
      {{"processId", nullptr},
       {"rootUri", nullptr},
       {"workspaceFolders",
        Json::array({{{"uri", "file://" + project.string()}, {"name", "project"}}})},
       {"capabilities",
        {{"workspace", {{"applyEdit", true}, {"workspaceEdit", {{"documentChanges", true}}}}}}},
       {"initializationOptions", {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}}}});
  editor.notify("initialized", Json::object());
  const std::string uri = "file://" + (project / "stats.py").string();
  editor.open(uri, "python", average);
  Json command = explain_command(uri, 5);
  command["command"] = "hearth.server.document";
  command["arguments"][0]["review"] = true;
  editor.request("workspace/executeCommand", command);
  editor.until([&] { return state == "waiting"; });
  CHECK(editor.quit() == 0);
  while (!home.status()["clients"].empty()) ::poll(nullptr, 0, 5);
}

}  // namespace

TEST_CASE("a change is printed as a patch where no editor could make it, and waits on") {
  const Home home;
  const TemporaryDirectory directory;
  const fs::path project = fs::canonical(directory.path()) / "it's mine";
  fs::create_directory(project);
  write_file(project / "stats.py", average);
  leave_a_change(home, project);
  const std::string id = home.status()["jobs"].back()["id"].dump();

  const Finished printed = home.hearth("jobs apply " + id);
  CHECK(printed.code == 0);
  CHECK(printed.out.starts_with("diff --git a/stats.py b/stats.py\n"));
  CHECK(printed.err.starts_with("hearth: no editor has this workspace open, so this is a patch"));
  CHECK(contains(printed.err, "hearth jobs apply " + id + " | git -C '" +
                                  fs::canonical(directory.path()).string() +
                                  "/it'\\''s mine' apply"));
  CHECK(std::count(printed.err.begin(), printed.err.end(), '\n') == 1);
  CHECK(home.status()["jobs"].back()["state"] == "waiting");
  CHECK(read_file(project / "stats.py", 1 << 20) == average);
  CHECK(home.hearth("jobs apply " + id).out == printed.out);

  // As it says.
  if (std::system("git --version >/dev/null 2>&1") != 0) {
    MESSAGE("skipped: git is not here");
    return;
  }
  const std::string line = printed.err.substr(printed.err.find("hearth jobs apply"));
  const Finished applied = home.bash(line.substr(0, line.find(" (or: ")));
  CHECK(applied.code == 0);
  const std::string before = average;
  const std::size_t body = before.find('\n') + 1;
  CHECK(read_file(project / "stats.py", 1 << 20) ==
        before.substr(0, body) + "    \"\"\"Return the average of the values.\"\"\"\n" +
            before.substr(body));

  // There is nothing left to change.
  const Finished again = home.hearth("jobs apply " + id);
  CHECK(again.code == 1);
  CHECK(again.out.empty());
  CHECK(contains(again.err, "hearth: no editor has this workspace open, and there is no patch"));
  CHECK(contains(again.err, "job " + id + " is not in the patch: "));
  CHECK(home.hearth("jobs dismiss " + id).code == 0);
  CHECK(home.hearth("jobs apply " + id).err ==
        "hearth: job " + id + " does not wait for you (done)\n");
}
