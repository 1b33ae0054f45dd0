// Which lines a person changed last, and where they are by now.
#include "lsp/context/recent_edits.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "tests/lsp/document/documents_for_tests.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;

namespace {

struct Editor {
  std::map<std::string, SnapshotPtr> documents;
  RecentEdits edits;

  void open(const std::string& uri, const std::string& text) {
    documents[uri] = snapshot(uri, text, "python");
  }
  void type(const std::string& uri, std::string_view before, const std::string& words) {
    const SnapshotPtr old = documents[uri];
    const Byte place = place_of(*old, before);
    std::string text = old->text->str();
    text.insert(place.value, words);
    documents[uri] = snapshot(uri, text, "python");
    const ByteEdit edit{place, place, {place.value + words.size()}};
    edits.changed(*old, *documents[uri], std::span(&edit, 1));
  }
  std::string newest() const {
    std::string all;
    for (const RecentEdit& edit : edits.newest([&](const std::string& uri) {
           const auto found = documents.find(uri);
           return found == documents.end() ? nullptr : found->second;
         })) {
      all += edit.uri + ":" + std::to_string(edit.first_line) + " " + edit.lines;
    }
    return all;
  }
};

}  // namespace

TEST_CASE("the newest place comes first, and typing on is one place") {
  Editor editor;
  editor.open("a", "one\ntwo\nthree\n");
  editor.open("b", "x\n");
  editor.type("a", "three", "1");
  editor.type("a", "three", "2");
  editor.type("b", "x", "y");
  CHECK(editor.newest() == "b:0 yx\na:2 12three\n");
}

TEST_CASE("places move with what is inserted above them, and are as they are now") {
  Editor editor;
  editor.open("a", "one\ntwo\nthree\nfour\nfive\n");
  editor.type("a", "five", "5");
  editor.type("a", "one", "zero\nhalf\n");
  CHECK(editor.newest() == "a:0 zero\nhalf\none\na:6 5five\n");
}

TEST_CASE("a large change shows its beginning, a closed document nothing") {
  Editor editor;
  editor.open("a", "end\n");
  editor.type("a", "end", "1\n2\n3\n4\n5\n6\n7\n");
  CHECK(editor.newest() == "a:0 1\n2\n3\n4\n5\n");
  editor.edits.closed("a");
  CHECK(editor.newest().empty());
}
