// `hearth chat`, on a terminal and through pipes.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/commands/chat_history.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/daemon/terminal.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::plain;
using hearth::tests::Terminal;

namespace {

constexpr const char* ready = "Ctrl-D ends.";
constexpr const char* figures = "of answer";

Terminal chat(const Home& home, const std::string& more = "") {
  return Terminal(
      {"/bin/sh", "-c", "exec '" + hearth::tests::program() + "' chat --max-tokens 8 " + more},
      home.environment());
}

// Types at the prompt: what comes earlier, while the terminal is not yet set to it, may be lost.
void say(Terminal& terminal, const std::string& keys) {
  terminal.until("> ");
  terminal.until_raw();
  terminal.type(keys);
}

// What was typed in earlier chats, as it is kept.
std::vector<std::string> kept(const Home& home) {
  return ChatHistory(home.paths().chat_history()).messages();
}

}  // namespace

TEST_CASE("a conversation through pipes: answers alone on stdout, all else on stderr") {
  const Home home;
  const Finished finished =
      home.hearth("chat --max-tokens 20", "Explain a loop.\n\n/help\nAnd a \\\nfunction?\n");
  CHECK(finished.code == 0);
  CHECK(contains(finished.err, ready));
  CHECK(contains(finished.err, "/clear"));
  CHECK(contains(finished.err, "(0 cached"));
  for (const char* part : {"> ", "cached", "ember", "/clear", "\x1b"}) {
    CAPTURE(part);
    CHECK_FALSE(contains(finished.out, part));
  }
  CHECK(std::ranges::count(finished.out, '\n') >= 2);
  // The second turn, of two lines, finds the first computed.
  const std::size_t first = finished.err.find("of prompt");
  const std::size_t second = finished.err.find("of prompt", first + 1);
  REQUIRE(second != std::string::npos);
  CHECK(finished.err.find("of prompt", second + 1) == std::string::npos);
  CHECK_FALSE(contains(finished.err.substr(second), "(0 cached"));
  CHECK(kept(home).empty());  // nobody typed
}

TEST_CASE("on a terminal, lines are edited and come back with the arrow keys") {
  const Home home;
  {
    Terminal terminal = chat(home);
    terminal.until(ready);
    say(terminal, "Explain a lop.\x1b[D\x1b[Do\r");  // two to the left, the missing letter
    terminal.until(figures);
    CHECK(kept(home) == std::vector<std::string>{"Explain a loop."});
    say(terminal, "dropped\x03");  // Ctrl-C
    terminal.until("^C");
    say(terminal, "\x04");  // Ctrl-D
    CHECK(terminal.finish() == 0);
  }
  CHECK(kept(home).size() == 1);
  struct stat info {};
  REQUIRE(::stat(home.paths().chat_history().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);

  Terminal again = chat(home);
  again.until(ready);
  say(again, "\x1b[A!\r");  // what was said last, and one sign more
  again.until(figures);
  say(again, "/exit\r");
  CHECK(again.finish() == 0);
  CHECK(kept(home) == std::vector<std::string>{"Explain a loop.", "Explain a loop.!", "/exit"});
}

TEST_CASE("pasted lines and lines broken with Alt-Enter are one message") {
  const Home home;
  Terminal terminal = chat(home);
  terminal.until(ready);
  say(terminal, "\x1b[200~def f():\r    return \xc3\xa9\x1b[201~ explain\r");
  terminal.until(figures);
  say(terminal, "one\x1b\rtwo\r");
  terminal.until(figures);
  say(terminal, "three\\\r");
  terminal.until("…");
  terminal.until_raw();
  terminal.type("four\r");
  terminal.until(figures);
  say(terminal, "\x04");
  CHECK(terminal.finish() == 0);
  CHECK(kept(home) == std::vector<std::string>{"def f():\n    return \xc3\xa9 explain", "one\ntwo",
                                               "three\nfour"});
}

TEST_CASE("/thought shows what was thought before the last answer, from a daemon and without one") {
  const hearth::tests::ChangedEmber model = hearth::tests::thinking_ember();
  Home home;
  home.configure("[model]\npath = \"" + model.options().model.string() +
                 "\"\n[thinking]\nbudget = 12\n");
  for (const char* way : {"", " --local"}) {
    CAPTURE(way);
    const Finished finished = home.hearth("chat --max-tokens 8 --thinking on" + std::string(way),
                                          "/thought\nExplain a loop.\n/thought\n");
    CHECK(finished.code == 0);
    const std::size_t answered = finished.err.find(figures);
    REQUIRE(answered != std::string::npos);
    CHECK(contains(finished.err.substr(0, answered), "Nothing was thought"));
    const std::string shown = finished.err.substr(finished.err.find('\n', answered));
    CHECK_FALSE(contains(shown, "Nothing was thought"));
    CHECK(shown.size() > 12);
    CHECK_FALSE(contains(finished.out, shown.substr(1, 12)));
  }
}

TEST_CASE("/clear begins anew; an unknown command is told; --no-history keeps nothing") {
  const Home home;
  Terminal terminal = chat(home, "--no-history");
  terminal.until(ready);
  say(terminal, "Explain a loop.\r");
  const std::string first = plain(terminal.until(figures));
  say(terminal, "/clear\r");
  terminal.until("A new conversation.");
  say(terminal, "/dance\r");
  terminal.until("There is no /dance.");
  say(terminal, "Explain a loop.\r");
  const std::string second = plain(terminal.until(figures));
  say(terminal, "/exit\r");
  CHECK(terminal.finish() == 0);
  const auto prompt = [](const std::string& text) {  // "31 tokens of prompt"
    const std::size_t end = text.rfind(" of prompt");
    return text.substr(text.rfind('\n', end), end - text.rfind('\n', end));
  };
  CHECK(prompt(first) == prompt(second));
  CHECK_FALSE(std::filesystem::exists(home.paths().chat_history()));
}

TEST_CASE("a conversation beyond the context leaves its oldest turns out and says so") {
  Home home;
  home.configure("[model]\ncontext = 256\n");
  std::string messages;
  for (int i = 0; i < 6; ++i) {
    messages += "Explain what this loop does: for value in values: total = total + value * " +
                std::to_string(i) + ".\n";
  }
  const Finished finished = home.hearth("chat --max-tokens 32", messages);
  CHECK(finished.code == 0);
  CHECK(contains(finished.err,
                 "the context of 256 tokens: its 3 oldest turns are left out from here on, and"));
  CHECK_FALSE(contains(finished.err, "the prompt has"));
  // One message that is longer than the context is an error of that message alone.
  std::string longest = "Explain";
  for (int i = 0; i < 300; ++i) longest += " value";
  const Finished too_long = home.hearth("chat --max-tokens 8", longest + "\nExplain a loop.\n");
  CHECK(too_long.code == 0);
  CHECK(contains(too_long.err, "the context holds 256"));
  CHECK(contains(too_long.err, figures));
}

TEST_CASE("a checkpoint without tokenizer is refused before it is loaded") {
  const Home home;
  for (const char* command : {"chat", "generate -p x"}) {
    CAPTURE(command);
    const Finished finished =
        home.hearth(std::string(command) + " --model " HEARTH_SOURCE_DIR "/tests/golden/fp8");
    CHECK(finished.code == 1);
    CHECK(finished.err == "hearth: " HEARTH_SOURCE_DIR
                          "/tests/golden/fp8 has no tokenizer.json: it can be benchmarked, but "
                          "cannot process text\n");
  }
}

TEST_CASE("history keeps the last thousand messages, whatever they hold") {
  const hearth::tests::TemporaryDirectory directory;
  const auto file = directory.path() / "state/chat_history";
  {
    ChatHistory history(file);
    for (int i = 0; i < 1003; ++i) history.add("message " + std::to_string(i));
    history.add("message 1002");  // not twice
    history.add("two\nlines, \"quotes\" and \xff");
  }
  write_file(file, read_file(file, 1 << 20) + "no JSON\n17\n");
  const ChatHistory read(file);
  REQUIRE(read.messages().size() == ChatHistory::max_messages);
  CHECK(read.messages().front() == "message 4");
  CHECK(read.messages().back().starts_with("two\nlines, \"quotes\" and "));
}
