// The commands of the program, as a person in a shell meets them.
#include <doctest/doctest.h>

#include "daemon/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;

namespace {

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

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
                              "status", "jobs", "synth"}) {
    CAPTURE(command);
    CHECK(home.hearth(std::string(command) + " --help").code == 0);
  }
}

TEST_CASE("a wrong call is told in one line, with exit code 2") {
  const Home home;
  for (const char* arguments :
       {"", "dance", "status --colour", "generate --max-tokens 0", "generate --max-tokens many",
        "tokenize --ids -5", "generate --raw --fim-prefix x", "synth --out x",
        "synth --layers 0 --out x"}) {
    CAPTURE(arguments);
    const Finished finished = home.hearth(arguments);
    CHECK(finished.code == 2);
    CHECK(finished.err.starts_with("hearth: "));
    CHECK(std::count(finished.err.begin(), finished.err.end(), '\n') == 1);
    CHECK(finished.out.empty());
  }
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
        "number. An empty list gives zero.\n");
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

TEST_CASE("a conversation keeps what was computed") {
  const Home home;
  const Finished chat = home.hearth("chat --max-tokens 20", "Explain a loop.\nAnd a function?\n");
  CHECK(chat.code == 0);
  CHECK(contains(chat.out, "(0 cached"));
  const std::size_t second = chat.out.find("of prompt", chat.out.find("of prompt") + 1);
  REQUIRE(second != std::string::npos);
  CHECK_FALSE(contains(chat.out.substr(second), "(0 cached"));
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
  CHECK(contains(demo.out, "Computes the average"));
  CHECK(contains(demo.out, "lsp"));
  CHECK_FALSE(home.control());  // it had a daemon of its own
}
