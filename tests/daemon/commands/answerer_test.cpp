// `hearth generate` and `hearth chat` with the model of a running daemon, and beside it.
#include <doctest/doctest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "daemon/platform/files.hpp"
#include "daemon/platform/spawn.hpp"
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

namespace {

const std::filesystem::path ember = HEARTH_SOURCE_DIR "/engine/ember";

constexpr const char* code =
    "File: stats.py (python)\n\n```python\ndef average(values):\n    total = 0\n"
    "    for value in values:\n        total += value\n    return total / len(values)\n```\n\n"
    "Explain what this code does.";

// Writes nonsense for longer than a test looks at it.
constexpr const char* long_answer =
    "generate --raw -p x --temperature 100 --top-k 0 --top-p 1 --seed 3 --max-tokens 1900";

// Ember under another name, with `changes` to its profile.
class OtherEmber {
 public:
  explicit OtherEmber(const Json& changes = Json::object()) {
    for (const auto& file : std::filesystem::directory_iterator(ember)) {
      if (file.path().filename() == "hearth.json") continue;
      std::filesystem::create_symlink(file.path(), directory_.path() / file.path().filename());
    }
    Json profile = Json::parse(read_file(ember / "hearth.json", 1 << 20));
    profile.update(changes);
    write_file(directory_.path() / "hearth.json", profile.dump());
  }
  std::string path() const { return directory_.path().string(); }

 private:
  hearth::tests::TemporaryDirectory directory_;
};

struct Call {
  std::string arguments;
  std::string input;
};

std::uint64_t requests(const Home& home) {
  return home.status()["model"]["requests"].get<std::uint64_t>();
}

// All calls without a daemon, then all with one.
void check_same_text(const Home& home, const std::vector<Call>& calls) {
  std::vector<Finished> local;
  for (const Call& call : calls) local.push_back(home.hearth(call.arguments, call.input));
  REQUIRE(home.hearth("daemon").code == 0);
  const pid_t daemon = home.daemon_pid();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CAPTURE(calls[i].arguments);
    const std::uint64_t before = requests(home);
    const Finished finished = home.hearth(calls[i].arguments, calls[i].input);
    CAPTURE(finished.err);
    CHECK(local[i].code == 0);
    CHECK(finished.code == 0);
    CHECK(finished.out.size() > 1);
    CHECK(finished.out == local[i].out);
    CHECK_FALSE(contains(finished.err, "loading"));
    CHECK(contains(finished.err, "of answer"));
    CHECK(requests(home) > before);  // it was the daemon
  }
  CHECK(home.daemon_pid() == daemon);
}

// A command that is looked at while it runs; stderr goes to a file.
class Running {
 public:
  Running(const Home& home, const std::string& arguments)
      : child_({"/bin/sh", "-c", "exec " + program() + " " + arguments + " 2> " + err_.string()},
               home.environment()) {}

  std::string read_some() const {
    char buffer[4096];
    const ssize_t got = ::read(child_.from(), buffer, sizeof buffer);
    return {buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }
  void signal(int number) const { ::kill(child_.pid(), number); }
  Finished finish() {
    Finished finished;
    for (std::string more = read_some(); !more.empty(); more = read_some()) finished.out += more;
    finished.code = child_.wait();
    finished.err = read_file(err_, 1 << 20);
    return finished;
  }

 private:
  hearth::tests::TemporaryDirectory directory_;
  const std::filesystem::path err_ = directory_.path() / "stderr";
  Child child_;
};

void wait_until_nothing_waits(const Home& home) {
  while (home.status()["model"]["waiting"] != 0) ::poll(nullptr, 0, 10);
}

Json chat_prompt(const std::string& text) {
  return {{"kind", "chat"},
          {"messages",
           {{{"role", "user"}, {"segments", {{{"text", text}, {"provenance", "instruction"}}}}}}}};
}

}  // namespace

TEST_CASE("the daemon's model gives the text that a model of one's own gives") {
  const Home home;
  const std::string fim = "generate --fim-prefix 'def total(items):\n    ' --fim-suffix '\n' ";
  check_same_text(
      home,
      {{"generate", code},
       {"generate --max-tokens 4", code},
       {"generate --stop ':'", code},
       {"generate --stop values --stop ' adds'", code},
       {"generate --system 'Answer in a word.' --max-tokens 24", code},
       {"generate --temperature 0.9 --seed 7 --max-tokens 40", code},
       {"generate --temperature 1.5 --top-k 50 --top-p 0.95 --seed 8 --max-tokens 40", code},
       {"generate --raw --temperature 0 --max-tokens 24 --stop '\n\n'", "def is_even(n):\n"},
       {"generate --raw --seed 11 --max-tokens 24", "<|im_start|>user\nBytes \xff\xc3 of none"},
       {fim + "--max-tokens 24", ""},
       {fim + "--temperature 1.2 --seed 2 --max-tokens 24", ""},
       {"chat --max-tokens 20", "Explain a loop.\nAnd a \\\nfunction?\nAnd why?\n"},
       {"chat --max-tokens 20 --temperature 1.1 --seed 5 --system Short.",
        "Explain a loop.\nAnd a function?\n/clear\nWhat is a list?\n"}});
  // Drawn answers are not all alike.
  const auto drawn = [&](const char* seed) {
    return home.hearth("generate -q --temperature 1.5 --max-tokens 40 --seed " + std::string(seed),
                       code);
  };
  CHECK(drawn("1").out != drawn("2").out);
}

TEST_CASE("so it does where the model thinks, within the configured budget") {
  Home home;
  const OtherEmber thinking(Json{{"thinking", true}});
  home.configure("[model]\npath = \"" + thinking.path() + "\"\n[thinking]\nbudget = 10\n");
  check_same_text(home, {{"generate --max-tokens 16", code},
                         {"generate --temperature 1.2 --seed 4 --max-tokens 16", code},
                         {"chat --max-tokens 12", "What is a list?\nAnd a loop?\n"}});
  const Finished thought = home.hearth("generate --max-tokens 8", code);
  CHECK(contains(thought.err, "tokens of thought"));
  CHECK(contains(thought.err, ", the thought cut (thinking.budget)"));
  CHECK(contains(thought.err, ", the answer cut (--max-tokens)"));
}

TEST_CASE("a chat with the daemon reads what is new alone, and what another read is known") {
  const Home home;
  home.hearth("daemon");
  const Finished chat = home.hearth("chat --max-tokens 16", "Explain a loop.\nAnd a function?\n");
  const std::size_t second = chat.err.find("of prompt", chat.err.find("of prompt") + 1);
  REQUIRE(second != std::string::npos);
  CHECK_FALSE(contains(chat.err.substr(second), "(0 cached"));
  const auto cached = [&] {
    const std::string err = home.hearth("generate", code).err;
    const std::size_t at = err.find('(');
    REQUIRE(at != std::string::npos);
    return std::stoi(err.substr(at + 1));
  };
  const int before = cached();
  CHECK(cached() > before);
}

TEST_CASE("a conversation with the daemon beyond the context leaves its oldest turns out") {
  Home home;
  home.configure("[model]\ncontext = 256\n");
  std::string messages;
  for (int i = 0; i < 6; ++i) {
    messages += "Explain what this loop does: for value in values: total = total + value * " +
                std::to_string(i) + ".\n";
  }
  check_same_text(home, {{"chat --max-tokens 32", messages}});
  CHECK(contains(home.hearth("chat --max-tokens 32", messages).err,
                 "the context of 256 tokens: its 3 oldest turns are left out from here on, and"));
  std::string longest = "Explain";
  for (int i = 0; i < 300; ++i) longest += " value";
  const Finished too_long = home.hearth("chat --max-tokens 8", longest + "\nExplain a loop.\n");
  CHECK(too_long.code == 0);
  CHECK(contains(too_long.err, "the context holds 256"));
  CHECK(contains(too_long.err, "of answer"));
  const Finished one = home.hearth("generate", longest);
  CHECK(one.code == 1);
  CHECK(contains(one.err, "the context holds 256"));
}

TEST_CASE("--local, --trace and another model load one of their own, and say what that costs") {
  const Home home;
  const OtherEmber other;
  const hearth::tests::TemporaryDirectory directory;
  const std::string trace = "--trace '" + (directory.path() / "routing").string() + "' ";
  const std::string few = "generate --max-tokens 2 -p x ";
  const auto err_of = [](Finished finished) {
    std::ranges::replace(finished.err, '\n', ' ');  // where it was broken
    return finished.err;
  };
  const auto says_cost = [&](const Finished& finished) {
    const std::string err = err_of(finished);
    return contains(err, "in this process, up to ") && contains(err, " of memory, about ");
  };
  // Without a daemon there is nothing to say, but what was asked for.
  CHECK_FALSE(says_cost(home.hearth(few)));
  CHECK_FALSE(says_cost(home.hearth(few + trace)));
  CHECK(home.hearth(few + "--local").err.starts_with("--local: "));
  CHECK_FALSE(home.control());  // and none was started

  home.hearth("daemon");
  for (const std::string& how :
       {std::string("--local "), trace, "--model '" + other.path() + "' "}) {
    CAPTURE(how);
    const Finished finished = home.hearth(few + how);
    CHECK(finished.code == 0);
    CHECK(says_cost(finished));
    CHECK(home.hearth(few + how + "--quiet").err.empty());
    CHECK(says_cost(home.hearth("chat --max-tokens 2 " + how, "Hello.\n")));
  }
  CHECK(contains(err_of(home.hearth(few + "--model '" + other.path() + "'")),
                 "the daemon has another model, " + ember.string()));
  CHECK(requests(home) == 0);
  // By another name it is the same.
  std::filesystem::create_directory_symlink(ember, directory.path() / "name");
  CHECK_FALSE(
      says_cost(home.hearth(few + "--model '" + (directory.path() / "name").string() + "'")));
  CHECK(requests(home) == 1);
}

TEST_CASE("--draft has a small model draft in this process, and the text stays what it is") {
  Home home;
  const hearth::tests::TemporaryDirectory directory;
  const std::string small = (directory.path() / "small").string();
  REQUIRE(home.hearth("dummy --hidden 128 --layers 4 --tokenizer ember --out " + small).code == 0);
  home.configure("[decode]\nspeculate = \"off\"\n");  // what the command line says goes first
  const std::string call = "generate --max-tokens 40 --temperature 0.9 --seed 4 --draft ";
  const Finished plain = home.hearth("generate --max-tokens 40 --temperature 0.9 --seed 4", code);
  for (const std::string& draft : {small, ember.string()}) {
    CAPTURE(draft);
    const Finished finished = home.hearth(call + draft, code);
    CAPTURE(finished.err);
    CHECK(finished.code == 0);
    CHECK(finished.out == plain.out);
    CHECK(contains(finished.err, "draft tokens right"));
    CHECK_FALSE(contains(finished.err, ", 0 of 0 draft"));
    CHECK_FALSE(contains(finished.err, "in this process"));  // there is no daemon
  }
  CHECK_FALSE(contains(plain.err, "draft"));

  home.hearth("daemon");
  Finished beside = home.hearth(call + small, code);
  std::ranges::replace(beside.err, '\n', ' ');
  CHECK(beside.out == plain.out);
  CHECK(beside.err.starts_with("--draft drafts in this process: loading "));
  CHECK(contains(beside.err, "; for its drafts " + small + ", up to "));
  CHECK(requests(home) == 0);
}

TEST_CASE("a small model with other tokens, or without, is refused before anything is loaded") {
  const Home home;
  const hearth::tests::TemporaryDirectory directory;
  const std::string small = (directory.path() / "small").string();
  REQUIRE(home.hearth("dummy --hidden 128 --layers 4 --tokenizer ember --out " + small).code == 0);
  Json tokenizer = Json::parse(read_file(small + "/tokenizer.json", 1 << 26));
  std::swap(tokenizer["model"]["merges"][3], tokenizer["model"]["merges"][4]);
  write_file(small + "/tokenizer.json", tokenizer.dump());
  for (const std::string command : {"generate -p x", "bench"}) {
    CAPTURE(command);
    const Finished other = home.hearth(command + " --draft " + small);
    CHECK(other.code == 1);
    CHECK(contains(other.err, "its merges are not the other's"));
    CHECK_FALSE(contains(other.out, "tokens/s"));
  }
  std::filesystem::remove(small + "/tokenizer.json");
  const Finished without = home.hearth("generate -p x --draft " + small);
  CHECK(without.code == 1);
  CHECK(contains(without.err, "has no tokenizer.json"));
  const Finished absent = home.hearth("generate -p x --draft " + small + "-absent");
  CHECK(absent.code == 1);
  CHECK(contains(absent.err, "(from --draft)"));
}

TEST_CASE("the daemon's model that cannot be loaded is no reason to load another one") {
  Home home;
  const OtherEmber broken;
  home.configure("[model]\npath = \"" + broken.path() + "\"\n");
  auto editor = home.editor(true);
  write_file(broken.path() + "/hearth.json", "{}x");
  editor.initialize(Json::object(), nullptr);
  const Finished finished = home.hearth("generate -p x");
  CHECK(finished.code == 1);
  CHECK(finished.err.starts_with("hearth: the daemon cannot use its model: "));
  editor.quit();
}

TEST_CASE("Ctrl-C stops the daemon's computation; what was written stays") {
  const Home home;
  home.hearth("daemon");
  Running running(home, long_answer);
  const std::string begin = running.read_some();
  CHECK_FALSE(begin.empty());
  running.signal(SIGINT);
  const Finished finished = running.finish();
  CHECK(finished.code == 130);
  CHECK(finished.out.ends_with('\n'));
  CHECK(contains(finished.err, ", stopped"));
  wait_until_nothing_waits(home);
  const Json model = home.status()["model"];
  CHECK(model["cancelled"] == 1);
  CHECK(model["answerTokens"].get<int>() < 1900);
  CHECK(home.hearth("generate", code).code == 0);
}

TEST_CASE("Ctrl-C in a chat with the daemon leads back to the prompt") {
  const Home home;
  home.hearth("daemon");
  Terminal terminal({program(), "chat", "--no-history"}, home.environment());
  terminal.until("Ctrl-D ends.");
  terminal.until("> ");
  terminal.until_raw();
  Running other(home, long_answer);  // keeps the daemon busy
  CHECK_FALSE(other.read_some().empty());
  terminal.type("What is a list?\r");
  terminal.until("waiting");
  terminal.signal(SIGINT);
  terminal.until(", stopped");
  terminal.until("> ");
  terminal.until_raw();
  CHECK(home.status()["model"]["cancelled"] == 1);
  other.signal(SIGINT);
  CHECK(other.finish().code == 130);
  terminal.type("\x04");
  CHECK(terminal.finish() == 0);
}

TEST_CASE("a daemon that is killed in the middle is told; what was written stays") {
  const Home home;
  home.hearth("daemon");
  const pid_t daemon = home.daemon_pid();
  Running running(home, long_answer);
  const std::string begin = running.read_some();
  ::kill(daemon, SIGKILL);
  const Finished finished = running.finish();
  CHECK(finished.code == 1);
  CHECK_FALSE(begin.empty());
  CHECK(finished.out.ends_with('\n'));
  CHECK(finished.err == "hearth: the daemon (process " + std::to_string(daemon) +
                            ") ended before the answer was whole\n");
  home.wait_until_gone();
}

TEST_CASE("a chat goes on with the next daemon") {
  const Home home;
  home.hearth("daemon");
  Terminal terminal({program(), "chat", "--max-tokens", "4", "--no-history"}, home.environment());
  terminal.until("Ctrl-D ends.");
  const auto say = [&](const std::string& text) {
    terminal.until("> ");
    terminal.until_raw();
    terminal.type(text + "\r");
  };
  say("What is a list?");
  terminal.until("of answer");
  home.hearth("stop");
  say("And a loop?");
  terminal.until("`hearth daemon` starts one");
  home.hearth("daemon");
  say("And a loop?");
  terminal.until("of answer");
  say("/exit");
  CHECK(terminal.finish() == 0);
  CHECK(requests(home) == 1);
}

TEST_CASE("a generation over a control connection comes in pieces, and is held to its form") {
  const Home home;
  home.hearth("daemon");
  auto control = home.control();
  REQUIRE(control);
  std::string text;
  bool told = false;
  const auto take = [&](const Json& piece) {
    if (piece.contains("text")) text += piece["text"].get<std::string>();
    if (piece.contains("progress")) told = piece["progress"].contains("phase");
  };
  const Json request{{"request", "generate"}, {"prompt", chat_prompt(code)}};
  const auto result = follow(*control, request, take);
  REQUIRE(result);
  CHECK(told);
  CHECK_FALSE(text.empty());
  CHECK((*result)["finish"] == "stop");
  CHECK((*result)["generated"].size() >= (*result)["answerTokens"].get<std::size_t>());

  const auto refused = [&](const Json& change) {
    Json changed = request;
    changed.update(change);
    try {
      follow(*control, changed, [](const Json&) {});
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const Json segment{{"text", "x"}, {"provenance", "file"}};
  const Json many{{"kind", "text"}, {"prefix", Json(2001, segment)}};
  CHECK(refused({{"prompt", nullptr}}) == "the request is not understood: \"prompt\" is missing");
  CHECK(contains(refused({{"prompt", {{"kind", "song"}}}}), "\"kind\" has the unknown value"));
  CHECK(contains(refused({{"prompt", many}}), "more than 2000 messages and segments"));
  CHECK(contains(refused({{"prompt", {{"kind", "text"}, {"prefix", Json::array()}}}}), "empty"));
  CHECK(contains(refused({{"options", {{"maxTokens", 0}}}}), "\"maxTokens\" is not from 1 to"));
  CHECK(contains(refused({{"options", {{"seed", -1}}}}), "\"seed\" is not from 0 to"));
  CHECK(contains(refused({{"options", {{"temperature", 101}}}}), "\"temperature\" is no number"));
  CHECK(contains(refused({{"options", {{"topP", "many"}}}}), "\"topP\" is no number from 0 to 1"));
  CHECK(contains(refused({{"options", {{"stop", {1, 2}}}}}), "\"stop\" is not at most 64"));
  Json foreign = chat_prompt("x");
  foreign["messages"].push_back(
      {{"role", "assistant"}, {"segments", Json::array()}, {"generated", {-5, 1 << 30}}});
  CHECK(refused({{"prompt", foreign}}) == "there is no token -5 in the vocabulary");
  foreign["messages"].back()["generated"] = {"a"};
  CHECK(contains(refused({{"prompt", foreign}}), "\"prompt\" is not of this form"));
  CHECK(ask(*control, "status")["model"]["state"] == "ready");
}

TEST_CASE("whoever asks again, or goes, gives the request before up") {
  const Home home;
  home.hearth("daemon");
  const Json request{
      {"request", "generate"},
      {"prompt", {{"kind", "text"}, {"prefix", {{{"text", "x"}, {"provenance", "file"}}}}}},
      {"options",
       {{"temperature", 100}, {"topK", 0}, {"topP", 1}, {"seed", 3}, {"maxTokens", 1900}}}};
  auto control = home.control();
  REQUIRE(control);
  const auto next = [&] {
    const auto body = control->stream.receive(ScriptedEditor::timeout);
    REQUIRE(body);
    return Json::parse(*body);
  };
  control->stream.send(request.dump());
  while (!next().contains("text")) {
  }
  control->stream.send(R"({"request": "jobs"})");
  Json said = next();
  while (said.contains("text") || said.contains("progress")) said = next();
  CHECK(said["error"] == "another request came before this one was answered");
  CHECK(next() == Json{{"result", Json::array()}});  // and nothing else of the first
  wait_until_nothing_waits(home);
  CHECK(home.status()["model"]["cancelled"] == 1);

  control->stream.send(request.dump());
  while (!next().contains("text")) {
  }
  control.reset();
  wait_until_nothing_waits(home);
  CHECK(home.status()["model"]["cancelled"] == 2);
}

TEST_CASE("a prompt that is too long for the daemon is told so, with what to do") {
  const Home home;
  home.hearth("daemon");
  const Finished finished = home.hearth("generate", std::string(1'100'000, 'x'));
  CHECK(finished.code == 1);
  CHECK(contains(finished.err, "the prompt is longer than the daemon takes, 1 MiB: with --local"));
}
