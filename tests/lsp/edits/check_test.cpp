// Edits that break what parsed are found, and what is told of them.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

namespace hearth::lsp::test {
namespace {

const std::string code =
    "def mean(values):\n"
    "    total = sum(values)\n"
    "    return total / len(values)\n"
    "\n"
    "print(mean([1, 2]))\n";

SnapshotPtr python(std::string text = code) {
  return snapshot("file:///home/ada/mean.py", std::move(text), "python");
}

// The first occurrence of `old` replaced.
std::vector<TextEdit> replacing(const SnapshotPtr& in, const std::string& old,
                                const std::string& text) {
  const Byte at = place_of(*in, old);
  return {{{at, {at.value + old.size()}}, text}};
}

}  // namespace

TEST_CASE("an edit that parses has no complaint") {
  const Syntax syntax{timeout};
  const SnapshotPtr before = python();
  const SyntaxCheck result =
      check(syntax, before, replacing(before, "sum(values)", "sum(values) * 2"));
  CHECK(result == SyntaxCheck{true, 0, 0, {}, ""});
}

TEST_CASE("an edit that does not parse is told by its lines, as a model can use it") {
  const Syntax syntax{timeout};
  const SnapshotPtr before = python();
  const SyntaxCheck result =
      check(syntax, before, replacing(before, "sum(values)\n", "sum(values\n"));
  CHECK(result.parsed);
  CHECK(result.before == 0);
  CHECK(result.after > 0);
  REQUIRE_FALSE(result.lines.empty());
  CHECK(result.lines.front() <= 2);
  CHECK(result.complaint.starts_with("With this change the code has"));
  CHECK(result.complaint.find("2:") + 1 + result.complaint.find("3:") + 1 > 0);
}

TEST_CASE("errors that were there before are not the edit's") {
  const Syntax syntax{timeout};
  const SnapshotPtr before = python("def broken(:\n    pass\n\n\ndef good():\n    return 1\n");
  const SyntaxCheck good = check(syntax, before, replacing(before, "return 1", "return 2"));
  CHECK(good.before > 0);
  CHECK(good.after == good.before);
  CHECK(good.complaint.empty());

  const SyntaxCheck bad = check(syntax, before, replacing(before, "return 1", "return = )"));
  CHECK(bad.after > bad.before);
  REQUIRE_FALSE(bad.lines.empty());
  for (const std::size_t line : bad.lines) CHECK(line >= 4);
  CHECK(bad.complaint.find("return = )") != std::string::npos);
  CHECK(bad.complaint.find("broken") == std::string::npos);
}

TEST_CASE("an edit that mends an error has no complaint") {
  const Syntax syntax{timeout};
  const SnapshotPtr before = python("def broken(:\n    pass\n");
  const SyntaxCheck result = check(syntax, before, replacing(before, "broken(", "broken()"));
  CHECK(result.before > 0);
  CHECK(result.after == 0);
  CHECK(result.complaint.empty());
}

TEST_CASE("a language without a grammar is not judged") {
  const Syntax syntax{timeout};
  const SnapshotPtr before = snapshot("file:///home/ada/notes.xyz", "one\ntwo\n");
  CHECK(check(syntax, before, replacing(before, "one", "(((")) == SyntaxCheck{});
}

TEST_CASE("the tree of an open document is not disturbed by checking edits of it") {
  Syntax syntax{timeout};
  const SnapshotPtr before = python();
  syntax.open(before);
  const SyntaxTreePtr tree = syntax.tree(before);
  check(syntax, before, replacing(before, "sum(values)\n", "sum(values\n"));
  CHECK(syntax.tree(before) == tree);
}

TEST_CASE("a complaint names no more than ten lines, and no endless ones") {
  const Syntax syntax{timeout};
  std::string broken;
  for (int i = 0; i < 40; ++i) {
    broken += "def f" + std::to_string(i) + "():\n    x = [1, = 2]\n    return x\n\n";
  }
  const SnapshotPtr before = python();
  const SyntaxCheck result =
      check(syntax, before, replacing(before, "print(mean([1, 2]))\n", broken));
  CHECK(result.after > 10);
  CHECK(result.lines.size() <= 10);

  const std::string endless = "x = [1, = \"" + std::string(5000, 'y') + "\"]\n";
  const SyntaxCheck of_one =
      check(syntax, before, replacing(before, "print(mean([1, 2]))\n", endless));
  REQUIRE_FALSE(of_one.complaint.empty());
  CHECK(of_one.complaint.size() < 500);
}

}  // namespace hearth::lsp::test
