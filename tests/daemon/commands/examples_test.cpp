// Every example that a help prints, typed into a bash as it stands, by someone who has never used
// hearth before and has nothing but the embedded checkpoint.
#include <doctest/doctest.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <fstream>
#include <string>

#include "daemon/commands/command_line.hpp"
#include "tests/daemon/commands/each_command.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using hearth::tests::each_command;
using hearth::tests::Finished;
using hearth::tests::Home;

namespace {

// What makes checkpoints of the real shapes, gigabytes of them.
bool takes_gigabytes(const Example& example) {
  return example.line.find("hearth dummy") != std::string::npos &&
         example.line.find("--hidden") == std::string::npos;
}

// What downloads gigabytes from a server elsewhere.
bool needs_network(const Example& example) {
  return example.line.find("hearth pull") != std::string::npos;
}

void run_examples(const CLI::App& command, bool large) {
  Home home;
  home.configure("[answer]\nmax_tokens = 48\n");  // that they work is asked, not what they say
  for (const Example& example : examples_of(command)) {
    if (takes_gigabytes(example) != large || needs_network(example)) continue;
    CAPTURE(example.line);
    const Finished finished = home.bash(example.line, "def is_even(number):\n");
    CAPTURE(finished.out);
    CAPTURE(finished.err);
    // A machine may be too small for the published checkpoints.
    const bool may_not_fit = example.line == "hearth plan" && finished.code == 3;
    CHECK((finished.code == 0 || may_not_fit));
    CHECK(finished.err.find("hearth: ") == std::string::npos);
    const bool printed = !finished.out.empty() || !finished.err.empty();
    CHECK((printed || example.line.find('>') != std::string::npos));
  }
}

}  // namespace

TEST_CASE("every example works as it stands, for a new user") {
  Command chosen;
  const auto app = make_command_line(chosen);
  int examples = 0;
  each_command(*app, [&](const CLI::App& command) {
    examples += static_cast<int>(examples_of(command).size());
    run_examples(command, false);
  });
  CHECK(examples > 20);
}

TEST_CASE("the README's example of an answer is one that the embedded checkpoint gives") {
  std::ifstream readme(HEARTH_SOURCE_DIR "/README.md");
  std::string line;
  while (std::getline(readme, line) && !line.starts_with("hearth generate ")) continue;
  REQUIRE(readme);
  CAPTURE(line);
  const Home home;
  const Finished finished = home.bash(line);
  CHECK(finished.code == 0);
  CHECK(finished.out == "Tells whether n is even.\n");
}

TEST_CASE("examples that write or download gigabytes are at least understood") {
  Command chosen;
  const auto app = make_command_line(chosen);
  each_command(*app, [&](const CLI::App& command) {
    const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
    if (is_long) run_examples(command, true);
    for (const Example& example : examples_of(command)) {
      if (!needs_network(example) && (is_long || !takes_gigabytes(example))) continue;
      CAPTURE(example.line);
      Command parsed;
      CHECK_NOTHROW(make_command_line(parsed)->parse(example.line, true));
      CHECK(parsed);
    }
  });
}
