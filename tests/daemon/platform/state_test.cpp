// A state directory in which somebody else has put links: nothing of ours goes through them, and
// nothing at all into a directory that is not ours.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/log.hpp"
#include "daemon/platform/private_directory.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;
namespace fs = std::filesystem;

namespace {

constexpr uid_t somebody = 12345;

// Makes a daemon write all that it keeps: a log, an answer, a routing history, a prompt's
// checkpoints and what they cost, and lets it end.
void use_everything(Home& home) {
  home.configure("[prefix_cache]\nmin_recompute_time = \"0s\"\n");
  auto editor = home.editor();
  editor.initialize(Json::object(), nullptr);
  editor.open(stats_uri, "python", average);
  editor.request("workspace/executeCommand", explain_command(stats_uri, 5));
  const auto finished = [&] {
    const Json status = home.status();
    for (const Json& job : status["jobs"]) {
      if (job["state"] == "done") return true;
      REQUIRE(job["state"] != "failed");
    }
    return false;
  };
  while (!finished()) ::usleep(20'000);
  CHECK(editor.quit() == 0);
  CHECK(home.hearth("stop").code == 0);
}

std::vector<fs::path> files_below(const fs::path& directory) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_directory() || entry.is_symlink()) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

// Puts in the place of each file a link to one outside, which is returned with its content.
std::map<fs::path, std::string> replace_by_links(const fs::path& state, const fs::path& outside) {
  fs::create_directory(outside);
  std::map<fs::path, std::string> victims;
  for (const fs::path& file : files_below(state)) {
    const fs::path victim = outside / ("victim-" + std::to_string(victims.size()));
    victims[victim] = "untouched " + victim.string();
    std::ofstream(victim) << victims[victim];
    fs::remove(file);
    fs::create_symlink(victim, file);
  }
  return victims;
}

void check_untouched(const std::map<fs::path, std::string>& victims) {
  for (const auto& [victim, content] : victims) {
    CAPTURE(victim);
    CHECK(fs::is_regular_file(fs::symlink_status(victim)));
    CHECK(read_file(victim, 1 << 20) == content);
  }
}

}  // namespace

TEST_CASE("where every file of the state is a link, nothing is written through it") {
  Home home;
  use_everything(home);
  const fs::path& state = home.paths().state;
  const auto victims = replace_by_links(state, state.parent_path() / "outside");
  // The log, the history, what was charged, the prefixes' lock and a checkpoint at least.
  CHECK(victims.size() >= 5);
  use_everything(home);
  check_untouched(victims);
}

TEST_CASE("another user's state directory is not used at all") {
  if (::getuid() != 0) return;  // only root can give a directory away
  Home home;
  use_everything(home);
  const fs::path& state = home.paths().state;
  const auto victims = replace_by_links(state, state.parent_path() / "outside");
  const auto before = files_below(state);
  const auto give_away = [](const fs::path& path) {
    REQUIRE(::lchown(path.c_str(), somebody, somebody) == 0);
  };
  for (const auto& entry : fs::recursive_directory_iterator(state)) give_away(entry.path());
  SUBCASE("all of it") {
    give_away(state);
  }
  SUBCASE("one directory in it") {
    fs::permissions(state / "engine", fs::perms::all);
  }

  home.hearth("daemon");
  const Json status = home.status();
  CHECK(status["log"] == "");
  CHECK(status["logError"].get<std::string>().find("belongs to user 12345") != std::string::npos);
  CHECK(unbroken(home.hearth("status").out).find("belongs to user 12345") != std::string::npos);
  use_everything(home);
  check_untouched(victims);
  CHECK(files_below(state) == before);
  for (const fs::path& file : before) {
    struct stat info {};
    REQUIRE(::lstat(file.c_str(), &info) == 0);
    CHECK(S_ISLNK(info.st_mode));
    CHECK(info.st_uid == somebody);
  }
}

TEST_CASE("a private directory opens no link, no pipe, no second name") {
  const TemporaryDirectory directory;
  const PrivateDirectory mine(directory.path() / "mine");
  mine.write("file", "text");
  CHECK(mine.open("file", O_RDONLY));
  fs::create_symlink("file", mine.path() / "link");
  CHECK_THROWS_WITH(mine.open("link", O_WRONLY | O_CREAT),
                    ((mine.path() / "link").string() + " is a link or no file: remove it").c_str());
  REQUIRE(::mkfifo((mine.path() / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_AS(mine.open("pipe", O_WRONLY), Error);
  CHECK_THROWS_AS(mine.open("pipe", O_RDONLY), Error);
  fs::create_hard_link(mine.path() / "file", mine.path() / "second");
  CHECK_THROWS_WITH(mine.open("file", O_RDONLY), doctest::Contains("has 2 names"));
  CHECK_THROWS_AS(mine.open("missing", O_RDONLY), Error);
}

TEST_CASE("what is written in a private directory replaces a link and stays where it was opened") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "mine";
  const fs::path victim = directory.path() / "victim";
  std::ofstream(victim) << "untouched";
  const PrivateDirectory mine(path);
  fs::create_symlink(victim, path / "file");
  mine.write("file", "text");
  CHECK(read_file(victim, 100) == "untouched");
  CHECK_FALSE(fs::is_symlink(path / "file"));
  // The name leads elsewhere now.
  fs::rename(path, directory.path() / "moved");
  fs::create_directory(directory.path() / "elsewhere");
  fs::create_directory_symlink(directory.path() / "elsewhere", path);
  mine.write("file", "second");
  CHECK(read_file(directory.path() / "moved/file", 100) == "second");
  CHECK(fs::is_empty(directory.path() / "elsewhere"));
  CHECK(files_below(directory.path() / "moved").size() == 1);
}

TEST_CASE("a log that grew is begun anew, and a few old ones are kept") {
  const TemporaryDirectory directory;
  const fs::path mine = directory.path() / "mine";
  {
    Log log(mine / "hearth.log", hearth::lsp::LogLevel::info, false);
    const std::string line(4000, 'x');
    for (int i = 0; i < 5'500; ++i) log.info(line);
  }
  const auto files = files_below(mine);
  CHECK(files == std::vector{mine / "hearth.1.log", mine / "hearth.2.log", mine / "hearth.log"});
  for (const fs::path& file : files) CHECK(fs::file_size(file) <= 5 * 1024 * 1024);
}
