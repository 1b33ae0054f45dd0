// What the status says of editors: how much inline completion is used, where it is too slow to come
// at each keystroke, and how much of a workspace is known.
#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemon/platform/files.hpp"
#include "daemon/status.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth;
using namespace hearth::tests;
using namespace std::chrono_literals;

TEST_CASE("the status says where keystrokes are read too slowly for completions at each") {
  daemon::ModelStatus model;
  model.state = daemon::ModelStatus::State::ready;
  model.completion_speed = 20;
  const auto says = [&](std::chrono::milliseconds max_read) {
    Json all = Json::parse(R"({"pid": 1, "build": "", "uptimeSeconds": 1, "clients": [], "jobs": [],
                               "log": "", "config": ""})");
    all["model"] = daemon::to_json(model);
    all["inline"] = daemon::inline_status(model, max_read, {});
    return daemon::show_status(all, 1'000);
  };
  const std::string sentence = "completions come at pauses and where a line begins only: at 20";
  CHECK(contains(says(1s), sentence));
  CHECK_FALSE(contains(says(10s), "at pauses"));
  model.completion_speed.reset();
  CHECK_FALSE(contains(says(1s), "at pauses"));
}

TEST_CASE(
    "the status says what waits at each priority, in which state jobs are, and what is wrong") {
  daemon::ModelStatus model;
  model.state = daemon::ModelStatus::State::ready;
  model.queue = {1, 0, 2};
  model.waiting = 3;
  Json all = Json::parse(R"({"pid": 1, "build": "", "uptimeSeconds": 1, "clients": [],
      "jobs": [{"state": "queued"}, {"state": "generating"}, {"state": "queued"}],
      "log": "", "config": ""})");
  all["jobsNotice"] = daemon::jobs_notice("cannot use jobs.sqlite: no space");
  all["model"] = daemon::to_json(model);
  CHECK(all["model"]["queue"] == Json{{"explicit", 1}, {"inline", 0}, {"background", 2}});
  const std::string shown = daemon::show_status(all, 1'000);
  CHECK(contains(shown, "3 now: 1 explicit, 2 background; "));
  CHECK(
      contains(shown, "3: 1 generating, 2 queued\n           cannot use jobs.sqlite: no space; "));
  CHECK(daemon::jobs_notice("").empty());
}

TEST_CASE("the status says how much of each device's memory has experts, and what is found there") {
  daemon::ModelStatus model;
  model.state = daemon::ModelStatus::State::ready;
  model.experts.experts = 100;
  model.experts.slots = 40;
  model.experts.resident = 30;
  model.experts.hits = 80;
  model.experts.misses = 20;
  const auto says = [&] {
    Json all = Json::parse(R"({"pid": 1, "build": "", "uptimeSeconds": 1, "clients": [],
                               "jobs": [], "log": "", "config": ""})");
    all["model"] = daemon::to_json(model);
    return daemon::show_status(all, 1'000);
  };
  CHECK(contains(says(), "30 of 100 in memory, room for 40; 80 % of uses found there\n"));
  CHECK_FALSE(contains(says(), "host: "));
  engine::DeviceExperts device;
  device.device = {kernels::Device::Kind::cuda, 0};
  device.slots = 20;
  device.resident = 20;
  device.budget_bytes = 2'000'000'000;
  device.hits = 50;
  model.experts.devices.push_back(device);
  CHECK(contains(says(), "host: 30 in 40 slots of 0 B; 30 % of uses found there\n"));
  CHECK(contains(says(), ": 20 in 20 slots of 2.0 GB; 50 % of uses found there\n"));
  CHECK(daemon::to_json(model)["experts"]["tiers"].size() == 2);
}

TEST_CASE("the status counts what became of completions, for each editor and all of them") {
  const Home home;
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(
      stats_uri, "python",
      "def average(values):\n    total = 0\n    for value in \n    return total / len(values)\n");
  const Json completion = editor.request("textDocument/inlineCompletion", completion_at(2, 17));
  REQUIRE(completion.is_structured());
  const Json expected{{"shown", 1}, {"accepted", 0}, {"rejected", 0}};
  CHECK(home.status()["clients"][0]["inline"] == expected);

  const Json command = completion["items"][0]["command"];
  CHECK(editor.request("workspace/executeCommand",
                       {{"command", command["command"]}, {"arguments", command["arguments"]}}) ==
        Json(nullptr));
  const Json status = home.status();
  CHECK(status["inline"]["accepted"] == 1);
  CHECK(contains(unbroken(home.hearth("status").out), "1 shown, 1 accepted, 0 rejected"));
  CHECK(editor.quit() == 0);

  // An editor that is gone has been counted.
  auto other = home.editor();
  other.initialize(Json::object(), nullptr);
  CHECK(home.status()["inline"]["shown"] == 1);
  CHECK(other.quit() == 0);
}

TEST_CASE("the status says how much of a workspace is known, and which limit cut it") {
  Json all = Json::parse(R"({"pid": 1, "build": "", "uptimeSeconds": 1, "jobs": [], "log": "",
                             "config": "", "clients": [{"pid": 7, "build": "", "cwd": "/p"}]})");
  daemon::ModelStatus model;
  model.state = daemon::ModelStatus::State::ready;
  all["model"] = daemon::to_json(model);
  lsp::IndexStatistics index;
  index.files = 12;
  const auto says = [&] {
    all["clients"][0]["index"] = daemon::to_json(index);
    return daemon::show_status(all, 1'000);
  };
  CHECK(contains(says(), "in /p; 12 files known so far\n"));
  index.complete = true;
  CHECK(contains(says(), "in /p; 12 files known\n"));
  index.complete = false;
  index.cut = lsp::IndexStatistics::Cut::files;
  CHECK(contains(says(), "in /p; 12 files known (not all: the limit of files was reached)\n"));
}

TEST_CASE("a workspace's files are read by a daemon, but for what is ignored") {
  const Home home;
  const TemporaryDirectory project;
  const std::filesystem::path folder = project.path();
  std::filesystem::create_directories(folder / "built");
  daemon::write_file(folder / ".gitignore", "built/\n");
  daemon::write_file(folder / "a.py", "def one():\n    pass\n");
  daemon::write_file(folder / "b.py", "def two():\n    pass\n");
  daemon::write_file(folder / "built/c.py", "def three():\n    pass\n");
  auto editor = home.editor();
  editor.request("initialize",
                 {{"processId", nullptr},
                  {"rootUri", nullptr},
                  {"workspaceFolders",
                   Json::array({{{"uri", "file://" + folder.string()}, {"name", "project"}}})},
                  {"capabilities", Json::object()}});
  editor.notify("initialized", Json::object());
  Json index;
  do {
    ::poll(nullptr, 0, 20);
    index = home.status()["clients"][0].value("index", Json{{"complete", false}});
  } while (!index["complete"].get<bool>());
  CHECK(index["files"] == 2);
  CHECK(editor.quit() == 0);
}
