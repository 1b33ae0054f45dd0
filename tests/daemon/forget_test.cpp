// `hearth forget`: what it says and removes, with a daemon and without one, and that nothing of a
// question is found on the disk afterwards.
#include "daemon/forget.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <filesystem>
#include <string>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/jobs/records.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

// No other file of the state directory has this word.
constexpr const char* secret = "zanzibar";
constexpr const char* code =
    "def zanzibar(values):\n"
    "    total = 0\n"
    "    for value in values:\n"
    "        total += value\n"
    "    return total / len(values)\n";

std::size_t prompt_states(const Home& home) {
  std::size_t count = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(home.paths().prefixes(), none)) {
    if (entry.path().extension() == ".prefix") ++count;
  }
  return count;
}

bool is_remembered(const Home& home) {
  return found_below(home.paths().state, secret);
}

}  // namespace

TEST_CASE("a job belongs to the folder that it is of or below") {
  CHECK(belongs_to("file:///code/a", "/code/a"));
  CHECK(belongs_to("file:///code/a/b%20c.py", "/code/a/"));
  CHECK(belongs_to("file:///code/a", "/"));
  CHECK_FALSE(belongs_to("file:///code/ab", "/code/a"));
  CHECK_FALSE(belongs_to("file:///code", "/code/a"));
  CHECK_FALSE(belongs_to("file:///code/a", ""));
  CHECK_FALSE(belongs_to("untitled:Untitled-1", "/"));
  CHECK_FALSE(belongs_to("", "/"));
  const TemporaryDirectory directory;
  fs::create_directory(directory.path() / "real");
  fs::create_symlink(directory.path() / "real", directory.path() / "link");
  CHECK(belongs_to("file://" + (directory.path() / "link/a.py").string(),
                   (directory.path() / "real").string()));
}

TEST_CASE("a request to forget that is none is refused") {
  CHECK_THROWS_AS(parse_forget({{"request", "forget"}}), Error);
  CHECK_THROWS_AS(parse_forget({{"folder", 7}, {"all", true}}), Error);
  const ForgetRequest request{false, "/a"};
  CHECK(parse_forget(to_message(request)).folder == "/a");
  CHECK_FALSE(parse_forget(to_message({})).removes());
}

TEST_CASE("nothing of a forgotten workspace is found in the state directory") {
  Home home;
  home.configure("[prefix_cache]\nmin_recompute_time = \"0s\"\n");
  CHECK(contains(home.hearth("forget").out, "nothing is kept"));
  CHECK_FALSE(fs::exists(home.paths().jobs()));

  SUBCASE("while the daemon runs") {
    fs::create_directories(home.paths().state);
    fs::permissions(home.paths().state, fs::perms::owner_all);
    write_file(home.paths().trusted_prompts(), R"({"/code/zanzibar": "0123"})");
    explain_into_a_file(home, code);
    CHECK(is_remembered(home));
    const std::string kept = home.hearth("forget").out;
    CHECK(contains(kept, "1 job of /stats.py"));
    CHECK(contains(kept, "1 answer's file"));
    CHECK(contains(kept, "1 folder whose team's prompts you confirmed"));
    CHECK(contains(home.hearth("forget --workspace /elsewhere").out, "job") == false);
    CHECK(home.status()["jobs"].size() == 1);
    CHECK(is_remembered(home));

    const std::string removed = home.hearth("forget --workspace /").out;
    CHECK(contains(removed, "removed:"));
    CHECK(contains(removed, "1 job of /stats.py"));
    CHECK(home.status()["jobs"].empty());
    CHECK_FALSE(is_remembered(home));
    CHECK(prompt_states(home) == 0);
    CHECK(contains(home.hearth("forget").out, "nothing is kept"));
  }
  SUBCASE("without a daemon") {
    explain_into_a_file(home, code);
    CHECK(home.hearth("stop").code == 0);
    CHECK(prompt_states(home) > 0);
    write_file(home.paths().chat_history(), "\"zanzibar\"\n");
    write_file(home.paths().trusted_prompts(), R"({"/code/zanzibar": "0123"})");
    write_file(home.paths().jobs().string() + ".damaged", "zanzibar");
    const std::string kept = home.hearth("forget").out;
    CHECK(contains(kept, "1 job of /stats.py"));
    CHECK(contains(kept, "the messages of `hearth chat`"));
    CHECK(contains(kept, "1 file of jobs that could not be read"));
    CHECK(is_remembered(home));
    CHECK(contains(home.hearth("forget --workspace /").out, "1 job of /stats.py"));
    CHECK(fs::exists(home.paths().chat_history()));
    CHECK(contains(home.hearth("forget --all").out, "removed:"));
    CHECK_FALSE(is_remembered(home));
    CHECK(prompt_states(home) == 0);
    CHECK(contains(home.hearth("forget --all").out, "there was nothing to forget"));
    CHECK_FALSE(home.control().has_value());  // none was started for it
  }
}

TEST_CASE("jobs that run are cancelled and forgotten") {
  Home home;
  auto editor = home.editor(true);
  editor.initialize(Json::object(), {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}});
  editor.open(stats_uri, "python", code);
  for (int i = 0; i < 8; ++i) {
    editor.begin("workspace/executeCommand", explain_command(stats_uri, 5));
  }
  while (home.status()["jobs"].size() < 8) ::poll(nullptr, 0, 5);
  CHECK(contains(home.hearth("forget --all").out, "8 jobs of /stats.py"));
  CHECK(home.status()["jobs"].empty());
  CHECK(editor.quit() == 0);
  CHECK_FALSE(is_remembered(home));
}
