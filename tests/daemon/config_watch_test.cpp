// A configuration that changes while the daemon runs: what is done, what is said, and to whom.
#include <doctest/doctest.h>
#include <poll.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/config.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

std::string log_of(const Home& home) {
  return read_file(home.paths().log(), 1 << 20);
}

void wait_for_log(const Home& home, const std::string& words, std::size_t times = 1) {
  const auto count = [&] {
    const std::string log = log_of(home);
    std::size_t found = 0;
    for (std::size_t at = log.find(words); at != log.npos; at = log.find(words, at + 1)) ++found;
    return found;
  };
  while (count() < times) ::poll(nullptr, 0, 10);
}

std::string wait_for_notice(const Home& home, const std::string& words) {
  for (;;) {
    std::string notice = home.status()["configNotice"];
    if (words.empty() ? notice.empty() : contains(notice, words)) return notice;
    ::poll(nullptr, 0, 10);
  }
}

bool offers(ScriptedEditor& editor, const std::string& title) {
  for (const Json& action : actions(editor, stats_uri, 5)) {
    if (contains(action["title"].get<std::string>(), title)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("keys that differ are named; those of the engine wait for a restart") {
  Config before;
  Config after;
  CHECK(changed_keys(before, after).empty());
  after.model_threads = 3;
  after.jobs_keep = std::chrono::hours(48);
  after.off_paths = {"a"};
  CHECK(changed_keys(before, after) ==
        std::vector<std::string>{"model.threads", "off.paths", "jobs.keep"});
  const Config running = applied(before, after);
  CHECK(changed_keys(running, after) == std::vector<std::string>{"model.threads"});
  CHECK(applies_at_once("log.level"));
  CHECK(applies_at_once("thinking.mode"));
  CHECK(applies_at_once("thinking.budget"));
  CHECK_FALSE(applies_at_once("thinking.effort"));
  CHECK_FALSE(applies_at_once("thinking.history"));
  CHECK_FALSE(applies_at_once("prefix_cache.ram"));
  CHECK(applies_at_once("inline.max_tokens"));
  CHECK_FALSE(applies_at_once("inline.model"));
  CHECK_FALSE(applies_at_once("inline.drafts"));
  CHECK(contains(describe_config(after), "keep = \"2d\""));
}

TEST_CASE("a running daemon follows its configuration") {
  Home home;
  const fs::path directory = home.paths().config.parent_path();
  fs::remove_all(directory);
  auto editor = home.editor(true);
  editor.initialize(Json::object(), nullptr);
  editor.open(stats_uri, "python", average);
  Messages messages(editor);
  CHECK(offers(editor, "Explain"));
  CHECK(home.status()["configNotice"] == "");

  SUBCASE("that of a file that was not there, in a directory that was not there") {
    REQUIRE_FALSE(fs::exists(directory));
    fs::create_directories(directory);
    home.configure("[actions]\ndisabled = [\"explain\"]\n");
    wait_for_log(home, "actions.disabled applied");
    CHECK_FALSE(offers(editor, "Explain"));

    // Written where it is, and removed.
    std::ofstream(home.paths().config) << "[inline]\nautomatic = false\n";
    wait_for_log(home, "inline.automatic, actions.disabled applied");
    CHECK(offers(editor, "Explain"));
    fs::remove(home.paths().config);
    wait_for_log(home, ": inline.automatic applied");
    CHECK(messages.with("config.toml") == 0);
  }
  SUBCASE("but for what the model is loaded with, which is said once") {
    fs::create_directories(directory);
    home.configure("[model]\nthreads = 1\n[log]\nlevel = \"debug\"\n");
    CHECK(wait_for_notice(home, "restart") ==
          "config.toml changed: model.threads needs `hearth restart`");
    CHECK(contains(unbroken(home.hearth("status").out), "model.threads needs `hearth restart`"));
    CHECK(contains(unbroken(home.hearth("doctor").out), "model.threads needs `hearth restart`"));
    CHECK(contains(log_of(home), "log.level applied"));
    const Json notices = editor.request("hearth/status", Json::object())["notices"];
    CHECK(notices == Json{"config.toml changed: model.threads needs `hearth restart`"});
    home.configure("[model]\nthreads = 1\n");
    wait_for_log(home, "log.level applied", 2);
    CHECK(offers(editor, "Explain"));  // whatever was sent before has come with it
    CHECK(messages.with("model.threads needs `hearth restart`") == 1);
    home.configure("");
    wait_for_notice(home, "");
    CHECK_FALSE(editor.request("hearth/status", Json::object()).contains("notices"));
  }
  SUBCASE("that a link leads to, changed where it is, gone and there again") {
    const TemporaryDirectory dotfiles;
    const fs::path file = fs::canonical(dotfiles.path()) / "hearth.toml";
    write_file(file, "[actions]\ndisabled = [\"explain\"]\n");
    fs::create_directories(directory);
    fs::create_symlink(file, home.paths().config);
    wait_for_log(home, "actions.disabled applied");
    CHECK_FALSE(offers(editor, "Explain"));
    write_file(file, "[inline]\nautomatic = false\n");
    wait_for_log(home, "inline.automatic, actions.disabled applied");
    CHECK(offers(editor, "Explain"));
    fs::remove(file);
    wait_for_log(home, ": inline.automatic applied");
    write_file(file, "[actions]\ndisabled = [\"explain\"]\n");
    wait_for_log(home, ": actions.disabled applied", 2);
    CHECK_FALSE(offers(editor, "Explain"));
    CHECK(fs::is_symlink(home.paths().config));
  }
  SUBCASE("but for one with an error, which says its line") {
    fs::create_directories(directory);
    home.configure("[actions]\ndisabled = [\"explain\"]\n");
    wait_for_log(home, "actions.disabled applied");
    home.configure("[actions]\ndisabled = [\"explian\"]\n");
    CHECK(contains(wait_for_notice(home, "config.toml:2:"), "names no action"));
    CHECK_FALSE(offers(editor, "Explain"));
    CHECK(messages.with("config.toml:2:") == 1);
    home.configure("[actions]\ndisabled = [\"explain\"]\n");
    wait_for_notice(home, "");
  }
  CHECK(editor.quit() == 0);
}
