// Lines for people.
#include "daemon/platform/format.hpp"

#include <doctest/doctest.h>
#include "tests/daemon/home.hpp"
#include "tests/daemon/terminal.hpp"

using namespace hearth::daemon;

TEST_CASE("lines are broken between words, counted in characters") {
  CHECK(wrapped("one two three", 80) == "one two three");
  CHECK(wrapped("one two three", 7) == "one two\nthree");
  CHECK(wrapped("one two three", 7, 2) == "one two\n  three");
  CHECK(wrapped("  one two", 7) == "  one\ntwo");
  CHECK(wrapped("unbreakable word", 4) == "unbreakable\nword");
  CHECK(wrapped("äöü äöü", 7) == "äöü äöü");
  CHECK(wrapped("one\ntwo three\n", 9) == "one\ntwo three\n");
  CHECK(wrapped("", 9).empty());
}

TEST_CASE("colour is for terminals that know it") {
  const hearth::tests::Home home;
  const auto coloured = [&](const std::string& terminal) {
    auto environment = home.environment();
    environment["TERM"] = terminal;
    hearth::tests::Terminal shown({hearth::tests::program(), "chat"}, environment);
    const std::string text = shown.until("Ctrl-D ends.");
    return text.find("\x1b[2m") != std::string::npos;
  };
  CHECK(coloured("xterm-256color"));
  CHECK_FALSE(coloured("dumb"));
}
