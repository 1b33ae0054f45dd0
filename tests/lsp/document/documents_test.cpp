// Documents under many edits at once, and under changes that cannot be applied.
#include "lsp/document/documents.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "lsp/document/piece_tree.hpp"

namespace hearth::lsp::test {
namespace {

constexpr std::array all_encodings{Encoding::utf8, Encoding::utf16, Encoding::utf32};

Json item(const std::string& text) {
  return {{"textDocument",
           {{"uri", "file:///a"}, {"languageId", "x"}, {"version", 1}, {"text", text}}}};
}
Json changes(Json version, Json content) {
  return {{"textDocument", {{"uri", "file:///a"}, {"version", std::move(version)}}},
          {"contentChanges", std::move(content)}};
}
Json insertion(std::size_t line, std::size_t character, const char* text) {
  const Json place = {{"line", line}, {"character", character}};
  return {{"range", {{"start", place}, {"end", place}}}, {"text", text}};
}

std::string random_text(std::mt19937& random, std::size_t characters) {
  static constexpr std::array<std::string_view, 10> alphabet{"a", "\n", "\r", "\r\n", "\t",
                                                             "é", "€",  "😀",  "z",    " "};
  std::string text;
  for (std::size_t i = 0; i < characters; ++i) text += alphabet[random() % alphabet.size()];
  return text;
}

// Edits of a list and the same edits one by one.
void check_same_edits(std::mt19937& random, Text text, int edits, std::size_t max_characters) {
  const Encoding encoding = all_encodings[random() % all_encodings.size()];
  const Text base = text;
  PieceTree pieces(base, encoding);
  for (int i = 0; i < edits; ++i) {
    const auto place = [&] {
      return Position{static_cast<std::uint32_t>(random() % (text.lines() + 1)),
                      static_cast<std::uint32_t>(random() % 8)};
    };
    Range range{place(), place()};
    if (random() % 2 == 0) range.end = range.start;
    const std::string added = random_text(random, random() % max_characters);
    const ByteRange bytes = text.bytes(range, encoding);
    const ByteEdit edit = pieces.replace(range, added);
    text = text.edited(bytes, added);
    REQUIRE(edit.start == bytes.begin);
    REQUIRE(edit.old_end == bytes.end);
    REQUIRE(edit.new_end.value == bytes.begin.value + added.size());
    REQUIRE(pieces.size() == text.str().size());
  }
  const Text flat = pieces.flattened();
  REQUIRE(flat.str() == text.str());
  REQUIRE(flat.lines() == text.lines());
}

// The message that a first request for the document is answered with; empty: it is served.
std::string refusal(const Documents& documents, bool* known = nullptr) {
  try {
    documents.required("file:///a");
    return "";
  } catch (const CannotServe& reason) {
    if (known != nullptr) *known = reason.known;
    return reason.what();
  }
}

}  // namespace

TEST_CASE("a list of pieces becomes the text that edits one after another make") {
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round)
    check_same_edits(random, Text(random_text(random, random() % 40)), 20, 6);
  SUBCASE("in many blocks of pieces, with pieces of many sizes") {
    for (const std::size_t max : {4U, 3000U})
      check_same_edits(random, Text(random_text(random, 400'000)), 60, max);
  }
  SUBCASE("down to nothing and up again") {
    const Text nothing("");
    PieceTree pieces(nothing, Encoding::utf16);
    pieces.replace({{0, 0}, {0, 0}}, "a\r");
    pieces.replace({{1, 0}, {1, 0}}, "\nb\xFF");
    CHECK(pieces.flattened().str() == "a\r\nb\uFFFD");
    pieces.replace({{0, 0}, {9, 9}}, "");
    CHECK(pieces.flattened().str().empty());
    pieces.replace({{3, 3}, {0, 0}}, "c");
    CHECK(pieces.flattened().str() == "c");
  }
}

TEST_CASE("20,000 edits in one message copy the document a few times, wherever they are") {
  constexpr std::size_t lines = 20'000;
  const std::string line(184, 'y');
  std::string before;
  std::string after;
  for (std::size_t i = 0; i < lines; ++i) {
    before += line + "\n";
    after += line.substr(0, 90) + "xé" + line.substr(90) + "\n";
  }
  std::vector<std::size_t> order(lines);
  for (std::size_t i = 0; i < lines; ++i) order[i] = i;
  SUBCASE("from the top") {}
  SUBCASE("from the bottom") {
    std::reverse(order.begin(), order.end());
  }
  SUBCASE("anywhere") {
    std::shuffle(order.begin(), order.end(), std::mt19937(5));
  }
  SUBCASE("all in one line") {
    std::fill(order.begin(), order.end(), 7);
    after = before;
    std::string many;
    for (std::size_t i = 0; i < lines; ++i) many += "xé";
    after.insert(7 * 185 + 90, many);
  }
  Documents documents(Encoding::utf16);
  documents.open(item(before));
  Json content = Json::array();
  for (const std::size_t i : order) content.push_back(insertion(i, 90, "xé"));
  const auto change = documents.change(changes(2, std::move(content)));
  CHECK(change.after->text->str() == after);
  CHECK(change.edits.size() == lines);
  MESSAGE("bytes copied, of the document's " << before.size() << ": " << change.copied);
  CHECK(change.copied >= after.size());
  CHECK(change.copied <= 20 * before.size());
}

TEST_CASE("a whole text among the changes is where they begin") {
  Documents documents(Encoding::utf16);
  documents.open(item("one\n"));
  const auto change = documents.change(changes(
      2,
      {insertion(0, 0, "lost"), {{"text", "two\n"}}, insertion(0, 0, "a"), insertion(0, 1, "b")}));
  CHECK(change.after->text->str() == "abtwo\n");
  REQUIRE(change.edits.size() == 3);
  CHECK(change.edits[0].old_end == Byte{4});
}

TEST_CASE("a version that is no number is no reason to refuse a document or its change") {
  Documents documents(Encoding::utf16);
  Json opened = item("x");
  opened["textDocument"]["version"] = nullptr;
  opened["textDocument"].erase("languageId");
  documents.open(opened);
  documents.change(changes(7, Json::array({insertion(0, 0, "a")})));
  for (const Json& version : {Json(nullptr), Json("8"), Json::object()})
    CHECK(documents.change(changes(version, Json::array({insertion(0, 0, "b")}))).after->version ==
          7);
  CHECK(documents.required("file:///a")->text->str() == "bbbax");
}

TEST_CASE("a change that cannot be applied puts its document out of step until it is whole again") {
  const std::vector<Json> bad = {
      changes(2, nullptr),
      changes(2, {insertion(0, 0, "good"), {{"range", 5}, {"text", "a"}}}),
      changes(2, {insertion(0, 0, "good"), insertion(0, 0, "b"), {{"range", {{"start", 1}}}}}),
      changes(2, Json::array({{{"text", 8}}})),
  };
  const std::vector<std::function<void(Documents&)>> remedies = {
      [](Documents& documents) { documents.open(item("y")); },
      [](Documents& documents) {
        documents.close(item(""));
        documents.open(item("y"));
      },
      [](Documents& documents) {
        documents.change(changes(4, Json::array({{{"text", "y"}}})));
      },
  };
  for (const Json& each : bad) {
    for (const auto& remedy : remedies) {
      CAPTURE(each.dump());
      Documents documents(Encoding::utf16);
      documents.open(item("x"));
      CHECK_THROWS_AS(documents.change(each), InvalidParams);
      CHECK_FALSE(documents.find("file:///a"));
      CHECK(documents.last_known("file:///a")->text->str() == "x");
      // A later change does not make it right, and is no news.
      CHECK_FALSE(documents.change(changes(3, Json::array({insertion(0, 0, "z")}))).after);
      bool known = true;
      CHECK(refusal(documents, &known).starts_with("the text of file:///a is out of step"));
      CHECK_FALSE(known);
      CHECK_FALSE(refusal(documents, &known).empty());
      CHECK(known);
      remedy(documents);
      CHECK(refusal(documents).empty());
      CHECK(documents.find("file:///a")->text->str() == "y");
    }
  }
}

TEST_CASE("a message that was lost puts the documents out of step that it may have changed") {
  Documents documents(Encoding::utf16);
  documents.open(item("x"));
  const Json mine = {{"params", {{"textDocument", {{"uri", "file:///a"}}}}}};
  Json begun = mine;
  begun["method"] = "textDocument/codeAction";
  CHECK(documents.lost(begun, "no").empty());
  begun["method"] = "textDocument/didChange";
  begun["params"]["textDocument"]["uri"] = "file:///b";
  CHECK(documents.lost(begun, "no").empty());
  CHECK(documents.lost({{"method", "textDocument/didOpen"}}, "no").empty());
  CHECK(documents.lost(nullptr, "no").empty());
  CHECK(refusal(documents).empty());
  SUBCASE("its change") {
    begun = mine;
    begun["method"] = "textDocument/didChange";
  }
  SUBCASE("its opening") {
    begun = mine;
    begun["method"] = "textDocument/didOpen";
  }
  SUBCASE("a change of who knows which") {
    begun = {{"method", "textDocument/didChange"}, {"params", {{"contentChanges", {1}}}}};
  }
  CHECK(documents.lost(begun, "no") == std::vector<std::string>{"file:///a"});
  CHECK(refusal(documents).find("(no)") != std::string::npos);
}

}  // namespace hearth::lsp::test
