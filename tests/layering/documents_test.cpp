// The guides of the tree: every file that they name is there.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Words in backticks that are paths of the tree: they begin with one of its folders or name a file
// with an ending. Not what holds a placeholder: NAME, *, …
std::set<std::string> named_in(const std::string& text) {
  static const std::regex quoted("`(\\.?[A-Za-z0-9_./-]+)`");
  static const std::regex folder("(kernels|engine|lsp|daemon|editors|tests|\\.github)/.+");
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), quoted), end; at != end; ++at) {
    const std::string name = (*at)[1];
    if (std::regex_match(name, folder) && name.find("NAME") == std::string::npos) {
      found.insert(name);
    }
  }
  return found;
}

std::vector<fs::path> guides() {
  const fs::path root(HEARTH_SOURCE_DIR);
  std::vector<fs::path> all = {root / "README.md", root / ".github/CONTRIBUTING.md",
                               root / ".github/SECURITY.md"};
  for (const char* folder : {"kernels", "engine", "lsp", "daemon"}) {
    all.push_back(root / folder / "DECISIONS.md");
  }
  return all;
}

}  // namespace

TEST_CASE("every file that the guides name is there") {
  for (const fs::path& guide : guides()) {
    CAPTURE(guide.string());
    const auto named = named_in(text_of(guide));
    CHECK_FALSE(named.empty());
    for (const std::string& name : named) {
      CAPTURE(name);
      CHECK(fs::exists(fs::path(HEARTH_SOURCE_DIR) / name));
    }
  }
}

TEST_CASE("a folder's decisions are short enough to be read") {
  for (const fs::path& guide : guides()) {
    if (guide.filename() != "DECISIONS.md") continue;
    CAPTURE(guide.string());
    const std::string text = text_of(guide);
    CHECK(std::count(text.begin(), text.end(), '\n') <= 60);
  }
}

TEST_CASE("names in backticks are found, examples and placeholders are not") {
  const auto named =
      named_in("`lsp/server.hpp`, `daemon/commands/NAME.cpp`, `a/b`, `--long`, plain");
  CHECK(named == std::set<std::string>{"lsp/server.hpp"});
}
