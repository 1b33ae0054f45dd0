// What a target keeps of its document.
#include "lsp/edits/target.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/lsp/document/documents_for_tests.hpp"

namespace hearth::lsp::test {

TEST_CASE("a target adjoins what is before and behind it") {
  const SnapshotPtr document = snapshot("file:///a", "one\ntwo three\nfour\n", "", 5);
  const Target target = target_of(*document, {{8}, {13}});
  CHECK(target == Target{"file:///a", 5, {{8}, {13}}, "three", "one\ntwo ", "\nfour\n"});
}

TEST_CASE("a byte order mark is no part of a target") {
  const SnapshotPtr document = snapshot("file:///a", "\xEF\xBB\xBFone\ntwo");
  const Target target = target_of(*document, {{0}, {6}});
  CHECK(target == Target{"file:///a", 1, {{3}, {6}}, "one", "", "\ntwo"});
}

TEST_CASE("a range outside of the text is moved into it") {
  const SnapshotPtr document = snapshot("file:///a", "one\n");
  CHECK(target_of(*document, {{2}, {100}}).text == "e\n");
  CHECK(target_of(*document, {{50}, {100}}).range == ByteRange{{4}, {4}});
  CHECK(target_of(*document, {{3}, {1}}).text.empty());
}

TEST_CASE("of a large document a target keeps whole lines around it, and not all") {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "line " + std::to_string(i) + "\n";
  const SnapshotPtr document = snapshot("file:///a", text);
  const ByteRange range = range_of(*document, "line 9000\n", "line 9009\n");
  const Target target = target_of(*document, range);
  CHECK(target.before.size() <= max_surroundings_bytes);
  CHECK(target.before.size() > max_surroundings_bytes - 20);
  CHECK(target.before.starts_with("line "));
  CHECK(target.before.ends_with("line 8999\n"));
  CHECK(target.after.size() <= max_surroundings_bytes);
  CHECK(target.after.size() > max_surroundings_bytes - 20);
  CHECK(target.after.starts_with("line 9010\n"));
  CHECK(target.after.ends_with("\n"));
}

TEST_CASE("lines that are longer than what is kept are left out, but for the target's own") {
  const std::string endless(2 * max_surroundings_bytes, 'x');
  const SnapshotPtr document =
      snapshot("file:///a", endless + "\n" + endless + "target\n" + endless + "\n");
  const Target target = target_of(*document, range_of(*document, "target", "target"));
  CHECK(target.before == endless);
  CHECK(target.after == "\n");
}

}  // namespace hearth::lsp::test
