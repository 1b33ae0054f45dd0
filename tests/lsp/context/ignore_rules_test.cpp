// What is ignored is what git ignores: by cases that a person can read, and over generated trees
// against git itself.
#include "lsp/context/ignore_rules.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/temporary_directory.hpp"

using namespace hearth::lsp;
using hearth::tests::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// The standard output of a shell's command.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> buffer{};
  for (std::size_t read = 1; read > 0;) {
    read = std::fread(buffer.data(), 1, buffer.size(), pipe);
    text.append(buffer.data(), read);
  }
  pclose(pipe);
  return text;
}

// Neither the machine's configuration nor the user's has a say.
const std::string git = "env -i PATH=\"$PATH\" HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 git ";

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.insert(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

TEST_CASE("a folder without a repository still has its .gitignore files") {
  const TemporaryDirectory directory;
  const fs::path root = fs::canonical(directory.path());
  write(root / ".gitignore", "build/\n*.log\n!keep.log\n");
  write(root / "lib/.gitignore", "/made.c\n");
  const IgnoreRules rules(root);
  CHECK(rules.ignores("build", true));
  CHECK(rules.ignores("build/a.c", false));
  CHECK(rules.ignores("src/deep/x.log", false));
  CHECK(rules.ignores("lib/made.c", false));
  CHECK(rules.ignores(".git/config", false));
  CHECK_FALSE(rules.ignores("keep.log", false));
  CHECK_FALSE(rules.ignores("src/made.c", false));
  CHECK_FALSE(rules.ignores("src/a.c", false));
}

TEST_CASE("rules that change are read again") {
  const TemporaryDirectory directory;
  const fs::path root = fs::canonical(directory.path());
  const IgnoreRules rules(root);
  CHECK_FALSE(rules.ignores("a.c", false));
  write(root / ".gitignore", "a.c\n");
  CHECK(rules.ignores("a.c", false));
}

TEST_CASE("a folder inside a repository heeds the rules above it") {
  const TemporaryDirectory directory;
  const fs::path root = fs::canonical(directory.path());
  if (std::system((git + "init -q '" + root.string() + "' 2>/dev/null").c_str()) != 0) {
    MESSAGE("skipped: git is not here");
    return;
  }
  write(root / ".gitignore", "made/\n");
  write(root / ".git/info/exclude", "mine.c\n");
  write(root / "lib/a.c", "");
  const IgnoreRules rules(root / "lib");
  CHECK(rules.ignores("made/a.c", false));
  CHECK(rules.ignores("mine.c", false));
  CHECK_FALSE(rules.ignores("a.c", false));
}

TEST_CASE("generated trees are ignored as git ignores them") {
  if (std::system((git + "--version >/dev/null 2>&1").c_str()) != 0) {
    MESSAGE("skipped: git is not here");
    return;
  }
  const int trees = std::getenv("HEARTH_LONG") != nullptr ? 500 : HEARTH_SANITIZED != 0 ? 12 : 40;
  std::mt19937 random(11);
  const auto pick = [&](const auto& from) -> const auto& {
    return from[std::uniform_int_distribution<std::size_t>(0, std::size(from) - 1)(random)];
  };
  const std::vector<std::string> names = {"a",   "b",     "build", "src", "lib", "x.c", "y.c",
                                          "z.o", "n.log", "é.c",   "a b", "#c",  "!d",  "foo.d"};
  const std::vector<std::string> patterns = {
      "*.o",      "*.c",        "!x.c",    "build",  "build/", "/build", "!build/", "src/*",
      "!src/x.c", "**/b",       "a/**",    "a/**/b", "lib/b",  "/a/",    "*",       "!*/",
      "!*.c",     "[xy].c",     "?.o",     "\\#c",   "\\!d",   "a b",    "foo.*",   "!foo.d",
      "# none",   "",           "n.log  ", "**",     "/*",     "!/src",  "!/lib/",  "b/*.c",
      "*/b",      "src/**/x.c", "!**/y.c", "[!x].c", "[a-c]",  "é.c",    "lib/",    "!lib"};
  int compared = 0;
  int too_many = 0;
  for (int tree = 0; tree < trees; ++tree) {
    const TemporaryDirectory directory;
    const fs::path root = fs::canonical(directory.path());
    std::map<std::string, bool> paths;  // whether it is a directory
    std::vector<std::string> folders = {""};
    for (int i = 0; i < 30; ++i) {
      const std::string path = pick(folders) + pick(names);
      if (paths.contains(path)) continue;
      const bool is_directory = random() % 2 == 0;
      paths[path] = is_directory;
      if (is_directory) {
        fs::create_directories(root / path);
        folders.push_back(path + "/");
      } else {
        write(root / path, "x");
      }
    }
    bool negates = false;
    const auto rules_at = [&](const std::string& path) {
      std::string text;
      for (auto left = 1 + random() % 5; left > 0; --left) {
        text += pick(patterns) + "\n";
      }
      negates = negates || text.starts_with('!') || text.find("\n!") != text.npos;
      write(root / path, text);
    };
    REQUIRE(std::system((git + "init -q '" + root.string() + "'").c_str()) == 0);
    rules_at(".gitignore");
    if (random() % 3 == 0) rules_at(".git/info/exclude");
    for (auto left = random() % 4; left > 0; --left) rules_at(pick(folders) + ".gitignore");
    std::string asked;
    for (const auto& [path, is_directory] : paths) asked += path + '\n';
    write(root / ".git/asked", asked);
    const auto ignored =
        lines_of(output_of("cd '" + root.string() + "' && " + git +
                           "-c core.quotePath=false check-ignore --no-index --stdin < .git/asked"));
    const IgnoreRules rules(root);
    std::string all;
    for (const std::string& folder : folders) {
      std::ifstream file(root / (folder + ".gitignore"), std::ios::binary);
      if (file) all += folder + ":\n" + std::string(std::istreambuf_iterator<char>(file), {});
    }
    for (const auto& [path, is_directory] : paths) {
      ++compared;
      const bool by_git = ignored.contains(path);
      const bool by_rules = rules.ignores(path, is_directory);
      if (by_git == by_rules) continue;
      CAPTURE(tree);
      CAPTURE(path);
      CAPTURE(all);
      // What git ignores is never shown. The other way round only where something is negated.
      CHECK_FALSE(by_git);
      CHECK(negates);
      ++too_many;
    }
  }
  CHECK(too_many * 50 < compared);
  MESSAGE(compared << " paths in " << trees << " trees; ignored beyond git: " << too_many);
}
