// What the program says of itself: its list of commands, guesses, help, version, manual page and
// completions.
#include "daemon/commands/command_line.hpp"

#include <doctest/doctest.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <sstream>

#include "daemon/commands/completions.hpp"
#include "daemon/commands/manual.hpp"
#include "tests/daemon/commands/each_command.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using hearth::tests::contains;
using hearth::tests::each_command;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;

namespace {

std::size_t columns(const std::string& text) {
  std::size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto characters = std::count_if(line.begin(), line.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    });
    widest = std::max(widest, static_cast<std::size_t>(characters));
  }
  return widest;
}

}  // namespace

TEST_CASE("a word that is no command is told with the one that was meant") {
  const Home home;
  const auto refused = [&](const std::string& arguments, const std::string& sentence) {
    CAPTURE(arguments);
    const Finished finished = home.hearth(arguments);
    CHECK(finished.code == 2);
    CHECK(finished.out.empty());
    CHECK(finished.err == "hearth: " + sentence + "\n");
  };
  refused("generat", R"(unknown command "generat", did you mean "generate"?)");
  refused("genreate --prompt x", R"(unknown command "genreate", did you mean "generate"?)");
  refused("Status", R"(unknown command "Status", did you mean "status"?)");
  refused("tok", R"(unknown command "tok", did you mean "tokenize"?)");
  refused("start", R"(unknown command "start", did you mean "daemon"?)");
  refused("help job", R"(unknown command "job", did you mean "jobs"?)");
  refused("dance", R"(unknown command "dance" (`hearth --help` lists them))");
  refused("\"$(printf 'x\\033[2J')\"", R"(unknown command "x?[2J" (`hearth --help` lists them))");
  refused("status --jsn", "`hearth status` has no option --jsn, did you mean --json?");
  refused("dummy --layrs 3 --out x",
          "`hearth dummy` has no option --layrs, did you mean --layers?");
  refused("status --colour",
          "`hearth status` has no option --colour (`hearth status --help` shows how)");
  refused("status now",
          "`hearth status` has no use for \"now\" (`hearth status --help` shows how)");
  refused("help --form man status", "--form man is made of all commands: leave out \"status\"");
}

TEST_CASE("alone it prints the list of commands, as help does") {
  const Home home;
  const Finished alone = home.hearth("");
  CHECK(alone.code == 0);
  CHECK(alone.err.empty());
  for (const char* command :
       {"demo", "lsp", "chat", "generate", "tokenize", "status", "jobs", "stop", "daemon", "plan",
        "bench", "dummy", "trace", "help", "version"}) {
    CAPTURE(command);
    CHECK(contains(alone.out, std::string("\n  ") + command + " "));
  }
  CHECK(home.hearth("help").out == alone.out);
  CHECK(home.hearth("--help").out == alone.out);
  CHECK(home.hearth("-h").out == alone.out);
}

TEST_CASE("help and --help say the same of every command, in 80 columns") {
  const Home home;
  Command chosen;
  const auto app = make_command_line(chosen);
  each_command(*app, [&](const CLI::App& command) {
    const std::string name = full_name(command).substr(std::string("hearth").size());
    CAPTURE(name);
    const Finished help = home.hearth("help" + name);
    CHECK(help.code == 0);
    CHECK(help.out.size() > 80);
    CHECK(columns(help.out) <= 80);
    CHECK(home.hearth(name + " --help").out == help.out);
  });
}

TEST_CASE("a command's earlier name runs it and shows its help") {
  const Home home;
  const Finished help = home.hearth("dummy --help");
  CHECK(help.code == 0);
  CHECK(home.hearth("synth --help").out == help.out);
  CHECK(home.hearth("help synth").out == help.out);
  const Finished refused = home.hearth("synth --layers 0 --out x");
  CHECK(refused.code == 2);
  CHECK(refused.err == home.hearth("dummy --layers 0 --out x").err);
}

TEST_CASE("the version, for people and for programs") {
  const Home home;
  const Finished brief = home.hearth("--version");
  CHECK(brief.code == 0);
  CHECK(brief.out.starts_with("hearth 0."));
  CHECK(home.hearth("-V").out == brief.out);
  const Finished shown = home.hearth("version");
  CHECK(shown.code == 0);
  CHECK(shown.out.starts_with(brief.out));
  const Finished json = home.hearth("version --json");
  CHECK(json.code == 0);
  const Json now = Json::parse(json.out);
  CHECK("hearth " + now["build"].get<std::string>() + "\n" == brief.out);
  CHECK(now["program"] == hearth::tests::program());
  CHECK_FALSE(now["buildType"].get<std::string>().empty());
  CHECK_FALSE(now["compiler"].get<std::string>().empty());
  const auto& available = now["isa"]["available"];
  CHECK(available[0] == "scalar");
  CHECK(std::find(available.begin(), available.end(), now["isa"]["used"]) != available.end());
  CHECK(now["cuda"]["devices"].is_number_integer());
}

TEST_CASE(
    "the version says which instruction set the configuration asks for, whatever else it holds") {
  Home home;
  home.configure("[model]\nisa = \"scalar\"\n");
  CHECK(contains(home.hearth("version").out, "with scalar;"));
  home.configure("[model]\nisa = ");
  CHECK(home.hearth("version").code == 0);
}

TEST_CASE("a language server is started with what clients add, and refuses other transports") {
  const Home home;
  CHECK(home.hearth("lsp --stdio --clientProcessId=1234").code == 0);
  CHECK(home.hearth("lsp --stdio --clientProcessId 1234").code == 0);
  for (const std::string option :
       {"--socket=5007", "--socket 5007", "--pipe=/tmp/x", "--node-ipc"}) {
    CAPTURE(option);
    const Finished refused = home.hearth("lsp " + option);
    CHECK(refused.code == 2);
    CHECK(refused.err ==
          "hearth: `hearth lsp` speaks over stdin and stdout only: start it without " +
              option.substr(0, option.find_first_of("= ")) +
              ", by the transport that clients call stdio\n");
  }
}

TEST_CASE("the manual page and the completions name every command and option") {
  Command chosen;
  const auto app = make_command_line(chosen);
  const std::string manual = manual_page(*app);
  const std::string bash = bash_completions(*app);
  const std::string zsh = zsh_completions(*app);
  const std::string fish = fish_completions(*app);
  const auto in_roff = [](std::string text) {
    for (std::size_t i = text.find('-'); i != std::string::npos; i = text.find('-', i + 2)) {
      text.insert(i, "\\");
    }
    return text;
  };
  each_command(*app, [&](const CLI::App& command) {
    CAPTURE(command.get_name());
    if (&command != app.get()) {
      CHECK(contains(manual, ".SS " + in_roff(full_name(command))));
      CHECK(contains(bash, "'" + full_name(command) + "'"));
      CHECK(contains(fish, " -a " + command.get_name() + " -d "));
      CHECK(contains(zsh, command.get_name()));
    }
    for (const CLI::Option* option : options_of(command)) {
      for (const std::string& name : option->get_lnames()) {
        CAPTURE(name);
        CHECK(contains(manual, in_roff("--" + name)));
        CHECK(contains(bash, "--" + name));
        CHECK(contains(zsh, "--" + name + "["));
        CHECK(contains(fish, " -l " + name));
      }
    }
  });
  // What is internal is nobody's to complete.
  CHECK_FALSE(contains(bash, "--ready-fd"));
  CHECK_FALSE(contains(manual, in_roff("--ready-fd")));
  CHECK(contains(manual, "max_tokens = 512"));
}

TEST_CASE("bash completes commands, options, words and folders") {
  const Home home;
  const auto completed = [&](const std::string& typed) {
    const std::string line =
        "mkdir -p models; touch models.txt; eval \"$(hearth help --form bash)\"; COMP_WORDS=(" +
        typed +
        "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _hearth hearth "
        "\"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\" 2>/dev/null; "
        "printf '%s\\n' \"${COMPREPLY[@]}\" | sort | paste -sd' '";
    return home.bash(line).out;
  };
  CHECK(completed("hearth ge") == "generate\n");
  CHECK(completed("hearth status --j") == "--json\n");
  CHECK(completed("hearth plan --routing ''") == "text uniform\n");
  CHECK(completed("hearth chat --model mo") == "models\n");
  CHECK(completed("hearth generate --trace mo") == "models models.txt\n");
  CHECK(completed("hearth help du") == "dummy\n");
  CHECK(completed("hearth --ver") == "--version\n");
}
