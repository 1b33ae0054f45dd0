// Text against definitions that are slow and plainly right.
#include "lsp/support/text.hpp"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

namespace hearth::lsp::test {
namespace {

constexpr std::array all_encodings{Encoding::utf8, Encoding::utf16, Encoding::utf32};

// Characters that matter: of one to four bytes, and everything that ends a line.
constexpr std::array<std::string_view, 10> alphabet{"a", "\n", "\r", "\r\n", "\t",
                                                    "é", "€",  "😀",  "z",    " "};

std::string random_text(std::mt19937& random, std::size_t characters) {
  std::string text;
  for (std::size_t i = 0; i < characters; ++i) text += alphabet[random() % alphabet.size()];
  return text;
}

struct Character {
  std::size_t begin;
  std::size_t length;
};

std::vector<Character> characters_of(std::string_view text) {
  std::vector<Character> characters;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 1;
    while (at + length < text.size() && (text[at + length] & 0xC0) == 0x80) ++length;
    characters.push_back({at, length});
    at += length;
  }
  return characters;
}

std::uint32_t units(std::size_t length, Encoding encoding) {
  if (encoding == Encoding::utf8) return static_cast<std::uint32_t>(length);
  return encoding == Encoding::utf16 && length == 4 ? 2 : 1;
}

// The position of a character's first byte, counted from the start of the text.
Position naive_position(std::string_view text, std::size_t offset, Encoding encoding) {
  Position position;
  for (const auto& [begin, length] : characters_of(text)) {
    if (begin >= offset) break;
    const bool line_end =
        text[begin] == '\n' || (text[begin] == '\r' && text.substr(begin + 1, 1) != "\n");
    if (line_end) {
      position = {position.line + 1, 0};
    } else if (text[begin] != '\r') {  // the \r of \r\n is no column
      position.character += units(length, encoding);
    }
  }
  return position;
}

void check_same_lines(const Text& text, const Text& fresh) {
  REQUIRE(text.str() == fresh.str());
  REQUIRE(text.lines() == fresh.lines());
  for (std::size_t line = 0; line < fresh.lines(); ++line) {
    REQUIRE(text.line_start(line) == fresh.line_start(line));
    REQUIRE(text.line_end(line) == fresh.line_end(line));
  }
}

}  // namespace

TEST_CASE("the nearest line's ending is its own, on the last line the one above") {
  const Text text("a\nb\r\nc\rd");
  CHECK(text.line_ending({0}) == "\n");
  CHECK(text.line_ending({1}) == "\n");
  CHECK(text.line_ending({2}) == "\r\n");
  CHECK(text.line_ending({3}) == "\r\n");
  CHECK(text.line_ending({5}) == "\r");
  CHECK(text.line_ending({7}) == "\r");
  CHECK(text.line_ending({8}) == "\r");
  CHECK(Text("a\r\n").line_ending({3}) == "\r\n");
  CHECK(Text("a").line_ending({1}).empty());
  CHECK(Text("").line_ending({0}).empty());
}

TEST_CASE("the ending that all lines share is told from one that only some have") {
  CHECK(Text("a\r\nb\r\nc").common_line_ending() == "\r\n");
  CHECK(Text("a\rb\r").common_line_ending() == "\r");
  CHECK(Text("a\nb\n").common_line_ending() == "\n");
  CHECK(Text("a\r\nb\nc\r\n").common_line_ending().empty());
  CHECK(Text("a\r\nb\r\nc\n").common_line_ending().empty());
  CHECK(Text("a").common_line_ending().empty());
  CHECK(Text("").common_line_ending().empty());
}

TEST_CASE("a byte order mark counts in positions and is no part of the first line's text") {
  const Text text(
      "\xEF\xBB\xBF"
      "ab\nc");
  CHECK(text.begin() == Byte{3});
  CHECK(text.line_range(0) == ByteRange{{3}, {5}});
  CHECK(text.line_range(1) == ByteRange{{6}, {7}});
  CHECK(text.position({3}, Encoding::utf16) == Position{0, 1});
  CHECK(text.offset({0, 1}, Encoding::utf16) == Byte{3});
  CHECK(Text("\xEF\xBB\xBF").line_range(0) == ByteRange{{3}, {3}});
  CHECK(Text("ab").line_range(0) == ByteRange{{0}, {2}});
}

TEST_CASE("a line ends in \\n, \\r\\n or \\r") {
  const Text text("one\ntwo\r\nthree\rfour\n\r");
  REQUIRE(text.lines() == 6);
  CHECK(text.view({text.line_start(1), text.line_end(1)}) == "two");
  CHECK(text.view({text.line_start(2), text.line_end(2)}) == "three");
  CHECK(text.view({text.line_start(3), text.line_end(3)}) == "four");
  CHECK(text.view({text.line_start(4), text.line_end(4)}) == "");
  CHECK(text.view({text.line_start(5), text.line_end(5)}) == "");
  CHECK(Text("").lines() == 1);
}

TEST_CASE("positions count in the client's units and are clamped to what is there") {
  const Text text("é😀x\r\nlast");
  CHECK(text.offset({0, 6}, Encoding::utf8) == Byte{6});
  CHECK(text.offset({0, 3}, Encoding::utf16) == Byte{6});
  CHECK(text.offset({0, 2}, Encoding::utf32) == Byte{6});
  SUBCASE("past the end of a line: its end, before the line ending") {
    for (const Encoding encoding : all_encodings) {
      CHECK(text.offset({0, 4'000'000'000U}, encoding) == Byte{7});
      CHECK(text.offset({1, 99}, encoding) == Byte{13});
    }
  }
  SUBCASE("past the last line: the end of the text") {
    for (const Encoding encoding : all_encodings) {
      CHECK(text.offset({2, 0}, encoding) == Byte{13});
      CHECK(text.offset({4'294'967'295U, 7}, encoding) == Byte{13});
    }
  }
  SUBCASE("inside of a character: its start") {
    CHECK(text.offset({0, 1}, Encoding::utf8) == Byte{0});
    CHECK(text.offset({0, 2}, Encoding::utf16) == Byte{2});
    CHECK(text.position(Byte{4}, Encoding::utf16) == Position{0, 1});
  }
  SUBCASE("between \\r and \\n: the end of the line") {
    CHECK(text.position(Byte{8}, Encoding::utf8) == Position{0, 7});
  }
  SUBCASE("a range that ends before it starts is the same range") {
    CHECK(text.bytes({{1, 4}, {0, 0}}, Encoding::utf16) == ByteRange{Byte{0}, Byte{13}});
  }
}

TEST_CASE("every character's position and offset are each other's inverse") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::string source = random_text(random, random() % 40);
    const Text text(source);
    for (const Encoding encoding : all_encodings) {
      for (const auto& [begin, length] : characters_of(source)) {
        const Position position = text.position(Byte{begin}, encoding);
        REQUIRE(position == naive_position(source, begin, encoding));
        const bool inside_line_end =
            begin > 0 && source[begin - 1] == '\r' && source[begin] == '\n';
        if (!inside_line_end) REQUIRE(text.offset(position, encoding) == Byte{begin});
      }
    }
  }
}

TEST_CASE("edits one after another give the text and the lines that a new text would have") {
  std::mt19937 random(2);
  for (int round = 0; round < 100; ++round) {
    std::string model = random_text(random, random() % 30);
    Text text(model);
    for (int edit = 0; edit < 30; ++edit) {
      const auto characters = characters_of(model);
      const auto pick = [&] {
        const std::size_t index = random() % (characters.size() + 1);
        return index < characters.size() ? characters[index].begin : model.size();
      };
      std::size_t begin = pick();
      std::size_t end = pick();
      if (begin > end) std::swap(begin, end);
      const std::string replacement = random_text(random, random() % 6);
      model.replace(begin, end - begin, replacement);
      text = text.edited({Byte{begin}, Byte{end}}, replacement);
      check_same_lines(text, Text(model));
    }
  }
}

TEST_CASE("an edit that would cut a character takes it from its start") {
  CHECK(Text("a😀b").edited({Byte{3}, Byte{5}}, "x").str() == "axb");
  CHECK(Text("ab").edited({Byte{1}, Byte{100}}, "\xFF").str() == "a\uFFFD");
}

TEST_CASE("invalid UTF-8 becomes U+FFFD, one for each maximal invalid part") {
  CHECK(Text("a\xFFz").str() == "a\uFFFDz");
  CHECK(Text("\xC0\xAF").str() == "\uFFFD\uFFFD");            // overlong
  CHECK(Text("\xED\xA0\x80").str() == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(Text("\xF0\x9F\x98").str() == "\uFFFD");              // cut off
  CHECK(Text("\xF0\x9F\x98q").str() == "\uFFFDq");
  CHECK(Text("\xF4\x90\x80\x80").str() == "\uFFFD\uFFFD\uFFFD\uFFFD");  // past U+10FFFF
  CHECK(Text("é€😀").str() == "é€😀");
  CHECK(is_valid_utf8("é€😀"));
  CHECK_FALSE(is_valid_utf8("\xE2\x82"));
}

TEST_CASE("the hash tells texts apart") {
  CHECK(content_hash("") == 0x2d06800538d394c2U);  // XXH3's published value
  CHECK(content_hash("ab") != content_hash("ba"));
}

}  // namespace hearth::lsp::test
