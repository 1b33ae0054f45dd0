// The commands of the program, as a person in a shell meets them.
#include <doctest/doctest.h>

#include <csignal>
#include <sstream>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/terminal.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;
using hearth::tests::plain;
using hearth::tests::program;
using hearth::tests::Terminal;
using hearth::tests::unbroken;

namespace {

constexpr const char* explain_prompt =
    "File: stats.py (python)\n"
    "\n"
    "```python\n"
    "def average(values):\n"
    "    total = 0\n"
    "    for value in values:\n"
    "        total += value\n"
    "    return total / len(values)\n"
    "```\n"
    "\n"
    "Explain what this code does.";

}  // namespace

TEST_CASE("help and version are printed with exit code 0") {
  const Home home;
  const Finished help = home.hearth("--help");
  CHECK(help.code == 0);
  CHECK(contains(help.out, "hearth demo"));
  CHECK(contains(help.out, "Examples:"));
  const Finished version = home.hearth("--version");
  CHECK(version.code == 0);
  CHECK(version.out.starts_with("hearth 0."));
  for (const char* command : {"lsp", "daemon", "generate", "chat", "tokenize", "demo", "stop",
                              "status", "jobs", "dummy"}) {
    CAPTURE(command);
    CHECK(home.hearth(std::string(command) + " --help").code == 0);
  }
}

TEST_CASE("a wrong call is told in one line, with exit code 2") {
  const Home home;
  for (const char* arguments : {"dance",
                                "status --colour",
                                "generate --max-tokens 0",
                                "generate --max-tokens many",
                                "tokenize --ids -5",
                                "generate --raw --fim-prefix x",
                                "dummy --out x",
                                "dummy --layers 0 --out x",
                                "dummy --hidden 256 --layers 0 --out x",
                                "dummy --hidden 4096 --layers 4 --out x",
                                "dummy --layers 4 --fim suffix-first --out x",
                                "dummy --layers 4 --tokenizer ember --fim middle-first --out x",
                                "generate -p ''",
                                "generate -p ' '",
                                "generate -p x --seed -1",
                                "generate -p x --temperature -1",
                                "generate -p x --top-p 1.5",
                                "generate -p x --top-k -2",
                                "generate -p x --fim-prefix y",
                                "generate --fim-prefix '' --fim-suffix ''",
                                "generate --raw --system x -p y",
                                "tokenize x --ids 5",
                                "tokenize --pieces --ids 5",
                                "tokenize --ids 999999999",
                                "chat --seed -1",
                                "chat --thinking maybe",
                                "bench --copy --prompts 5",
                                "bench --copy --draft ember",
                                "bench --draft ember --tokens 5",
                                "bench --experts-memory 5",
                                "bench --scratch 1e30G"}) {
    CAPTURE(arguments);
    const Finished finished = home.hearth(arguments);
    CHECK(finished.code == 2);
    CHECK(finished.err.starts_with("hearth: "));
    CHECK(std::count(finished.err.begin(), finished.err.end(), '\n') == 1);
    CHECK(finished.out.empty());
  }
}

TEST_CASE("an empty prompt on stdin is a wrong call; a terminal is told what it waits for") {
  const Home home;
  const Finished empty = home.hearth("generate", "\n");
  CHECK(empty.code == 2);
  CHECK(empty.err == "hearth: the prompt on stdin is empty\n");
  CHECK(home.hearth("tokenize", "").out == "\n");

  Terminal terminal({program(), "generate", "--max-tokens", "4"}, home.environment());
  terminal.until("Type the prompt; Ctrl-D on a line of its own ends it.");
  terminal.type("Explain a loop.\n\x04");
  terminal.until("of answer");
  CHECK(terminal.finish() == 0);
}

TEST_CASE("a benchmark says from the beginning what it does, within 80 columns") {
  const Home home;
  Terminal terminal({program(), "bench", "--prompts", "64", "--depths", "0", "--tokens", "4"},
                    home.environment());
  const std::string begin = plain(terminal.until("loading"));
  CHECK(begin.starts_with("hearth "));
  terminal.until("measuring the machine");
  CHECK(terminal.finish() == 0);
  std::istringstream lines(begin + plain(terminal.rest()));
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(line.size() <= 80);
  }
}

TEST_CASE("a benchmark of drafts compares three ways to write and says what to do") {
  const Home home;
  const hearth::tests::TemporaryDirectory directory;
  const std::string small = (directory.path() / "small").string();
  REQUIRE(home.hearth("dummy --hidden 128 --layers 4 --tokenizer ember --out " + small).code == 0);
  const Finished finished = home.hearth("bench --json --draft " + small);
  CAPTURE(finished.err);
  REQUIRE(finished.code == 0);
  const Json result = Json::parse(finished.out);
  CHECK(result["draft"] == small);
  REQUIRE(result["runs"].size() == 3);
  const Json& none = result["runs"][0];
  const Json& copied = result["runs"][1];
  const Json& model = result["runs"][2];
  CHECK(none["drafts"] == "none");
  CHECK(none["drafted"] == 0);
  CHECK(none["tokens"] == none["passes"]);
  CHECK(copied["drafts"] == "copied");
  CHECK(model["drafts"] == "model");
  CHECK(model["drafted"] > 0);
  CHECK(model["readingSeconds"] > 0);
  for (const Json& run : result["runs"]) {
    CHECK(run["tokens"] == none["tokens"]);
    CHECK(run["passes"].get<int>() + run["accepted"].get<int>() == run["tokens"].get<int>());
    CHECK(run["tokensPerSecond"] > 0);
  }
  CHECK(result["pays"] == (result["gain"].get<double>() >= 1.05));

  Terminal terminal({program(), "bench", "--draft", small}, home.environment());
  const std::string shown = plain(terminal.until("small model "));
  CHECK(terminal.finish() == 0);
  const std::string all = shown + plain(terminal.rest());
  CHECK(contains(all, "one by one"));
  CHECK(contains(all, "copied drafts"));
  CHECK(contains(all, "the small model's, too"));
  CHECK((contains(all, "The small model pays here: ") ||
         contains(all, "The small model does not pay here: ")));
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK((line.size() <= 80 || contains(line, small)));
  }
}

TEST_CASE("a checkpoint whose making is stopped leaves nothing behind, no folder either") {
  const Home home;
  const hearth::tests::TemporaryDirectory directory;
  const std::string out = (directory.path() / "new/folder/checkpoint").string();
  Terminal terminal({program(), "dummy", "--layers", "4", "--out", out}, home.environment());
  terminal.until(" left");  // there is a time left to be seen
  terminal.signal(SIGTERM);
  CHECK(terminal.finish() == 130);
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("a tiny checkpoint takes a moment, and real text runs on it") {
  const Home home;
  const hearth::tests::TemporaryDirectory directory;
  const std::string out = (directory.path() / "tiny").string();
  const Finished made = home.hearth(
      "dummy --hidden 256 --layers 4 --tokenizer ember --fim suffix-first --out " + out);
  CAPTURE(made.err);
  CHECK(made.code == 0);
  const Finished written =
      home.hearth("generate --max-tokens 2 -p 'Explain a loop.' --model " + out);
  CAPTURE(written.err);
  CHECK(written.code == 0);

  const Finished odd = home.hearth("dummy --hidden 250 --layers 4 --out " + out + "-odd");
  CHECK(odd.code == 1);
  CHECK(contains(odd.err, "a multiple of 128"));
}

TEST_CASE("status and jobs without a daemon say how to get one, with exit code 1") {
  const Home home;
  for (const char* command : {"status", "jobs", "status --json"}) {
    CAPTURE(command);
    const Finished finished = home.hearth(command);
    CHECK(finished.code == 1);
    CHECK(finished.err == "hearth: no daemon runs (`hearth daemon` or an editor starts one)\n");
  }
}

TEST_CASE("status shows the daemon for people and for programs") {
  const Home home;
  CHECK(home.hearth("daemon").out.starts_with("the daemon runs: process "));
  const Finished shown = home.hearth("status");
  CHECK(shown.code == 0);
  CHECK(contains(shown.out, "ember"));
  CHECK(contains(shown.out, "requests"));
  const Json status = Json::parse(home.hearth("status --json").out);
  CHECK(status["pid"] == home.daemon_pid());
  CHECK(home.hearth("jobs").out == "no jobs\n");
  CHECK(Json::parse(home.hearth("jobs --json").out) == Json::array());
}

TEST_CASE("status is broken at the width of the terminal, and at 80 columns where there is none") {
  const Home home;
  home.hearth("daemon");
  const auto check_width = [](const std::string& shown, std::size_t columns) {
    std::istringstream lines(shown);
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      CAPTURE(line);
      const bool one_word = line.size() <= 11 || line.find(' ', 11) == std::string::npos;
      CHECK((line.size() <= columns || one_word));
    }
    return count;
  };
  Terminal narrow({program(), "status"}, home.environment(), 40);
  CHECK(narrow.finish() == 0);
  const std::size_t lines = check_width(plain(narrow.rest()), 40);
  CHECK(lines > check_width(home.hearth("status").out, 80));
  CHECK(unbroken(plain(narrow.rest())).find(" experts, ") != std::string::npos);
}

TEST_CASE("a daemon whose model cannot be loaded does not run on, and its start says why") {
  const Home home;
  const hearth::tests::TemporaryDirectory model;
  write_file(model.path() / "config.json", "{}");
  const Finished finished = home.hearth("daemon --model '" + model.path().string() + "'");
  CHECK(finished.code == 1);
  CHECK(finished.out.empty());
  CHECK(finished.err.starts_with("hearth: the daemon cannot use its model: "));
  CHECK(contains(finished.err, "config.json"));
  CHECK_FALSE(home.control());
}

TEST_CASE("a door whose model cannot be loaded opens, and it is said why nothing answers there") {
  Home home;
  const hearth::tests::TemporaryDirectory model;
  write_file(model.path() / "config.json", "{}");
  home.configure("[model]\npath = \"" + model.path().string() + "\"\n[serve]\nport = 0\n");
  const Finished finished = home.hearth("serve");
  CHECK(finished.code == 1);
  CHECK(contains(finished.out, " serves at http://127.0.0.1:"));
  CHECK(finished.err.starts_with("hearth: the daemon cannot use its model: "));
  CHECK(contains(finished.err, "config.json"));
}

TEST_CASE("a daemon whose model cannot be loaded stays with its editor") {
  Home home;
  const hearth::tests::TemporaryDirectory model;
  write_file(model.path() / "config.json", "{}");
  home.configure("[model]\npath = \"" + model.path().string() + "\"\n");
  auto editor = home.editor(true);
  editor.initialize(Json::object(), nullptr);
  const Finished finished = home.hearth("daemon");
  CHECK(finished.code == 1);
  CHECK(contains(finished.err, "as an editor is connected: `hearth stop` ends it"));
  CHECK(home.status()["clients"].size() == 1);
  CHECK(editor.quit() == 0);
}

TEST_CASE("generate and its figures say what was cut, the thought too") {
  const Home home;
  const hearth::tests::TemporaryDirectory model;
  const std::filesystem::path ember = HEARTH_SOURCE_DIR "/engine/ember";
  for (const auto& file : std::filesystem::directory_iterator(ember)) {
    if (file.path().filename() == "hearth.json") continue;
    std::filesystem::create_symlink(file.path(), model.path() / file.path().filename());
  }
  Json profile = Json::parse(read_file(ember / "hearth.json", 1 << 20));
  profile["thinking"] = true;
  write_file(model.path() / "hearth.json", profile.dump());

  CHECK(contains(home.hearth("generate --max-tokens 4", explain_prompt).err, "4 tokens of answer"));
  CHECK(contains(home.hearth("generate --max-tokens 4", explain_prompt).err,
                 ", the answer cut (--max-tokens)"));
  home.hearth("stop");
  write_file(home.paths().config, "[thinking]\nbudget = 10\n");
  const Finished thought = home.hearth(
      "generate --max-tokens 8 --model '" + model.path().string() + "'", explain_prompt);
  CHECK(thought.code == 0);
  CHECK(thought.out.size() > 1);
  CHECK(contains(thought.err, "tokens of thought"));
  CHECK(contains(thought.err, ", the thought cut (thinking.budget)"));
  CHECK(contains(home.hearth("chat --max-tokens 8 --model '" + model.path().string() + "'",
                             "What is a list?\n")
                     .err,
                 "the thought cut (thinking.budget)"));

  // Off in the configuration, which a request may override; there its thought is none.
  write_file(home.paths().config, "[thinking]\nmode = \"off\"\nbudget = 10\n");
  for (const char* asked : {"", "--thinking on ", "--thinking off "}) {
    const Finished answer = home.hearth(
        "generate --max-tokens 8 " + std::string(asked) + "--model '" + model.path().string() + "'",
        explain_prompt);
    CAPTURE(asked);
    CHECK(answer.code == 0);
    CHECK(contains(answer.err, "the thought cut") == contains(asked, "on "));
  }
}

TEST_CASE("a daemon with another model is not taken for the one that was asked for") {
  const Home home;
  home.hearth("daemon");
  const std::string ember = HEARTH_SOURCE_DIR "/engine/ember";
  CHECK(home.hearth("daemon --model " + ember).code == 0);
  const Finished other = home.hearth("daemon --model " HEARTH_SOURCE_DIR "/tests/golden/fp8");
  CHECK(other.code == 1);
  CHECK(contains(other.err, ("with the model " + ember).c_str()));
}

TEST_CASE("tokenize and its way back") {
  const Home home;
  const Finished ids = home.hearth("tokenize 'def average(values):'");
  CHECK(ids.code == 0);
  std::string list = ids.out;
  list.pop_back();
  CHECK(home.hearth("tokenize --ids " + list).out == "def average(values):\n");
  CHECK(home.hearth("tokenize", "def average(values):").out == ids.out);
  // What a user types is never a special token, unless it is said to be trusted.
  const auto count = [](const std::string& text) {
    return std::count(text.begin(), text.end(), ' ') + 1;
  };
  CHECK(count(home.hearth("tokenize '<|im_end|>'").out) > 1);
  CHECK(count(home.hearth("tokenize --special '<|im_end|>'").out) == 1);
  CHECK(contains(home.hearth("tokenize --pieces '\"'").out, R"("\"")"));
}

TEST_CASE("generate answers as the embedded checkpoint does") {
  const Home home;
  const Finished finished = home.hearth("generate", explain_prompt);
  CHECK(finished.code == 0);
  CHECK(finished.out ==
        "Computes the average of the values: it adds them up and divides the total by their "
        "number.\n");
  CHECK(contains(finished.err, "of answer"));
  const Finished short_one = home.hearth("generate --quiet --max-tokens 4", explain_prompt);
  CHECK(short_one.out == "Computes the a\n");
  CHECK(short_one.err.empty());
  CHECK(home.hearth("generate -q --stop ':'", explain_prompt).out ==
        "Computes the average of the values\n");
}

TEST_CASE("the routing of an answer can be recorded, and replayed through the policies") {
  const Home home;
  const hearth::tests::TemporaryDirectory directory;
  const std::string file = (directory.path() / "routing").string();
  REQUIRE(home.hearth("generate -q --trace '" + file + "'", explain_prompt).code == 0);
  const Finished replayed = home.hearth("trace --percent 50,100 '" + file + "'");
  CHECK(replayed.code == 0);
  CHECK(contains(replayed.out, "steps of 9 layers, 32 experts each"));
  CHECK(contains(replayed.out, "optimum"));
  // Where everything fits, all are alike: an expert is read once.
  const std::size_t line = replayed.out.find("100 %");
  REQUIRE(line != std::string::npos);
  int slots = 0;
  double lru = 0, lrfu = 0, optimum = 0;
  REQUIRE(std::sscanf(replayed.out.c_str() + line, "100 %% %d %lf %% %lf %% %lf", &slots, &lru,
                      &lrfu, &optimum) == 4);
  CHECK(slots == 9 * 32);
  CHECK(lru == optimum);
  CHECK(lrfu == optimum);
  CHECK(optimum > 50);
}

TEST_CASE("a model directory that does not exist is told by every command that needs one") {
  const Home home;
  for (const char* command :
       {"generate -p x", "chat", "tokenize x", "daemon", "daemon --foreground"}) {
    CAPTURE(command);
    const Finished finished = home.hearth(std::string(command) + " --model /nowhere/model");
    CHECK(finished.code == 1);
    CHECK(finished.err ==
          "hearth: there is no model directory /nowhere/model (from --model): name a directory "
          "with config.json, tokenizer.json and *.safetensors\n");
  }
}

TEST_CASE("the configuration in force is printed as one that can be used") {
  Home home;
  const Finished printed = home.hearth("daemon --print-config");
  CHECK(printed.code == 0);
  home.configure(printed.out);
  CHECK(home.hearth("daemon --print-config").out == printed.out);
  home.configure("[inline]\nhold = \"3s\"\n");
  CHECK(contains(home.hearth("daemon --print-config").out, "hold = \"3s\""));
  home.configure("[inline]\nhodl = \"3s\"\n");
  const Finished broken = home.hearth("daemon");
  CHECK(broken.code == 1);
  CHECK(contains(broken.err, "config.toml:2: unknown key inline.hodl"));
}

TEST_CASE("the demonstration shows an explanation and two completions") {
  const Home home;
  const Finished demo = home.hearth("demo");
  CAPTURE(demo.out);
  CHECK(demo.code == 0);
  CHECK(demo.err.empty());
  CHECK(contains(demo.out, "Computes the average of the values: it adds them up and divides"));
  CHECK(contains(demo.out, "▏total += price\n"));
  CHECK(contains(demo.out, "▏return total\n"));
  CHECK(contains(demo.out, "lsp"));
  CHECK_FALSE(home.control());  // it had a daemon of its own
}
