// A user's own wordings: found, checked, and told of with the file's name.
#include "daemon/prompt_files.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/platform/error.hpp"
#include "tests/daemon/editing.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using namespace hearth::tests;

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("a wording is read from prompts/NAME.md each time that it is asked for") {
  const TemporaryDirectory directory;
  const PromptFiles prompts(directory.path() / "prompts");
  CHECK_FALSE(prompts.read("explain").has_value());
  CHECK(prompts.faults().empty());
  const auto path = directory.path() / "prompts" / "explain.md";
  std::filesystem::create_directory(path.parent_path());
  write(path, "\nExplain this {language} to a child.\n\n");
  REQUIRE(prompts.read("explain").has_value());
  CHECK(prompts.read("explain")->text == "Explain this {language} to a child.");
  CHECK(prompts.read("explain")->source == path.string());
  write(path, "Was ist das?");
  CHECK(prompts.read("explain")->text == "Was ist das?");
  CHECK(prompts.faults().empty());
}

TEST_CASE("what is wrong with a prompt's file is said with its name") {
  const TemporaryDirectory directory;
  const PromptFiles prompts(directory.path());
  const std::string place = directory.path().string() + "/";
  write(place + "explain.md", "Explain.\nIn {langage}, please.");
  write(place + "explian.md", "Explain.");
  write(place + "notes.txt", "{nothing} of ours");
  const auto faults = prompts.faults();
  REQUIRE(faults.size() == 2);
  CHECK(faults[0] ==
        place +
            "explain.md, line 2: there is no variable {langage}; there are "
            "{diagnostics}, {file}, {instruction}, {language}, {problem}, {subject}, {unit}");
  CHECK(faults[1].starts_with(place + "explian.md is not used: there is no such action; there are "
                                      "fix, explain, "));
  write(place + "explain.md", " \n");
  CHECK_THROWS_WITH_AS(
      prompts.read("explain"),
      (place + "explain.md is empty: write the wording in it, or remove it").c_str(), Error);
  write(place + "explain.md", std::string(PromptFiles::max_bytes + 1, 'x'));
  CHECK_THROWS_AS(prompts.read("explain"), Error);
  std::filesystem::remove(place + "explain.md");
  std::filesystem::create_directory(place + "explain.md");
  CHECK_THROWS_AS(prompts.read("explain"), Error);
}

TEST_CASE("a prompt's file is used by a running daemon, and its fault is told when it is chosen") {
  const Home home;
  const auto path = home.paths().prompts() / "explain.md";
  auto editor = home.editor();
  std::vector<Json> states;
  editor.on_notification = [&](const std::string& method, const Json& params) {
    if (method == "hearth/jobState") states.push_back(params);
  };
  editor.initialize(Json::object(), {{"hearth", {{"protocol", 3}, {"features", {"jobs"}}}}});
  editor.open(stats_uri, "python", average);
  std::filesystem::create_directories(path.parent_path());
  write(path, "Explain this in {tongue}.");
  editor.request("workspace/executeCommand", explain_command(stats_uri, 5));
  editor.until([&] { return !states.empty() && states.back()["state"] == "failed"; });
  CHECK(states.back()["error"].get<std::string>().starts_with(
      path.string() + ", line 1: there is no variable {tongue}"));
  write(path, "Explain what this {language} code does.");
  editor.request("workspace/executeCommand", explain_command(stats_uri, 5));
  editor.until([&] { return states.back()["state"] == "done"; });
  CHECK(editor.quit() == 0);
}
