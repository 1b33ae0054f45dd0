// Whether an edit whose editor never answered was made.
#include "lsp/edits/sent.hpp"

#include <doctest/doctest.h>

#include <string>

namespace hearth::lsp::test {
namespace {

const std::string text =
    "import sys\n\ndef average(values):\n    return 0\n\ndef median(values):\n    return 0\n";

FileEdit docstring(const std::string& in) {
  const std::size_t at = in.find("    return 0");
  return {"file:///a.py", 1, {{{Byte{at}, Byte{at}}, "    \"\"\"The mean.\"\"\"\n"}}};
}

}  // namespace

TEST_CASE("an edit that stands there was made, and one that does not was not") {
  const FileEdit edit = docstring(text);
  const SentEdit sent = sent_edit(text, edit);
  CHECK(sent.uri == "file:///a.py");
  CHECK(sent.removed.empty());
  CHECK(fate_of(sent, text) == Fate::not_made);
  CHECK(fate_of(sent, edited(text, edit.edits)) == Fate::made);
}

TEST_CASE("what a person changed elsewhere meanwhile is in nobody's way") {
  const FileEdit edit = docstring(text + std::string(1000, '#'));
  const SentEdit sent = sent_edit(text + std::string(1000, '#'), edit);
  const std::string more = "# a comment\n" + std::string(300, 'x') + "\n";
  // Beyond the surroundings that are kept.
  CHECK(sent.before.size() + sent.after.size() <= 400);
  const std::string now = text + std::string(1000, '#') + more;
  CHECK(fate_of(sent, now) == Fate::not_made);
  CHECK(fate_of(sent, edited(now, edit.edits)) == Fate::made);
}

TEST_CASE("several edits of a file are one, and what is between them stays") {
  const std::size_t first = text.find("average");
  const std::size_t second = text.find("median");
  const FileEdit edit{
      "file:///a.py",
      1,
      {{{Byte{first}, Byte{first + 7}}, "mean"}, {{Byte{second}, Byte{second + 6}}, "middle"}}};
  const SentEdit sent = sent_edit(text, edit);
  CHECK(sent.removed.starts_with("average(values):\n"));
  CHECK(sent.inserted.starts_with("mean(values):\n"));
  CHECK(sent.inserted.ends_with("def middle"));
  CHECK(fate_of(sent, text) == Fate::not_made);
  CHECK(fate_of(sent, edited(text, edit.edits)) == Fate::made);
  // One of two: nobody can tell what happened.
  std::string half = text;
  half.replace(first, 7, "mean");
  CHECK(fate_of(sent, half) == Fate::unknown);
}

TEST_CASE("a new file was made where all of its text is there, and nothing else") {
  const SentEdit sent = sent_edit("", {"file:///b.py", 0, {{{}, "x = 1\n"}}, true});
  CHECK(fate_of(sent, "x = 1\n") == Fate::made);
  CHECK(fate_of(sent, "x = 1\ny = 2\n") == Fate::unknown);
  CHECK(fate_of(sent, "") == Fate::unknown);
  CHECK(fate_of(sent_edit("", {"file:///b.py", 0, {{{}, ""}}, true}), "") == Fate::made);
}

TEST_CASE("what stands there twice, or not at all, tells nothing") {
  const SentEdit sent{"file:///a.py", "x = ", "1", "2", "\n"};
  CHECK(fate_of(sent, "x = 1\n") == Fate::not_made);
  CHECK(fate_of(sent, "x = 2\n") == Fate::made);
  CHECK(fate_of(sent, "x = 2\nx = 2\n") == Fate::unknown);
  CHECK(fate_of(sent, "x = 1\nx = 2\n") == Fate::unknown);
  CHECK(fate_of(sent, "") == Fate::unknown);
}

TEST_CASE("surroundings never begin or end in the middle of a character") {
  std::string long_text;
  for (int i = 0; i < 150; ++i) long_text += "é";
  const std::string around = long_text + "x" + long_text;
  const std::size_t at = long_text.size();
  const SentEdit sent = sent_edit(around, {"file:///a.py", 1, {{{Byte{at}, Byte{at + 1}}, "yy"}}});
  CHECK(is_valid_utf8(sent.before));
  CHECK(is_valid_utf8(sent.after));
}

}  // namespace hearth::lsp::test
