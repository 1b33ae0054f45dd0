// The parser of both ends: what it takes, what it refuses, and that nothing ends the process.
#include "lsp/protocol/json_text.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

namespace hearth::lsp::test {
namespace {

using nlohmann::json;

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

// What is said of a text that is refused; empty: it is not.
std::string refusal(std::string text, BadJson::Kind kind) {
  try {
    parse_json(text);
  } catch (const BadJson& bad) {
    CHECK(bad.kind == kind);
    return bad.what();
  }
  return "";
}

json random_value(std::mt19937& random, int depth) {
  switch (random() % (depth > 0 ? 8 : 6)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return static_cast<std::int64_t>(random()) - 2'000'000'000;
    case 3:
      return 1.0 / static_cast<double>(random() % 1000 + 1);
    case 4:
      return std::uint64_t{18'446'744'073'709'551'615U} - random();
    case 5:
      return std::string("\"\\\n\u0001é😀").substr(0, random() % 5);
    case 6: {
      json array = json::array();
      for (auto left = random() % 4; left > 0; --left)
        array.push_back(random_value(random, depth - 1));
      return array;
    }
    default: {
      json object = json::object();
      for (auto left = random() % 4; left > 0; --left)
        object["k" + std::to_string(random() % 4)] = random_value(random, depth - 1);
      return object;
    }
  }
}

}  // namespace

TEST_CASE("values are read as they were written") {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    const json value = random_value(random, 5);
    const std::string text = value.dump(round % 3 - 1, ' ', round % 2 == 0);
    CAPTURE(text);
    REQUIRE(parse_json(std::string(text)) == value);
  }
  CHECK(parse_json(std::string(R"({"a": 1, "a": [2]})")) == json{{"a", {2}}});  // the last one
}

TEST_CASE("nesting and the number of values are bounded") {
  CHECK(parse_json(nested(max_json_nesting)).is_array());
  for (const std::size_t levels : {max_json_nesting + 1, std::size_t{1'000'000}}) {
    CHECK(refusal(nested(levels), BadJson::Kind::too_much) ==
          "the message is nested deeper than 200 levels");
    CHECK_FALSE(refusal(std::string(levels, '['), BadJson::Kind::too_much).empty());
    std::string objects;
    for (std::size_t i = 0; i < levels; ++i) objects += "{\"a\":";
    CHECK_FALSE(refusal(objects, BadJson::Kind::too_much).empty());
  }
  std::string zeros = "[0";
  for (std::size_t i = 1; i < max_json_values - 1; ++i) zeros += ",0";
  CHECK(parse_json(zeros + "]").size() == max_json_values - 1);
  CHECK(refusal(zeros + ",0]", BadJson::Kind::too_much) ==
        "the message has more than 2000000 values");
}

TEST_CASE("what is no JSON is refused by its place, without a word of its text") {
  using Kind = BadJson::Kind;
  for (const char* text : {"", "{", "[1,]", "{\"marker\" 1}", "\"marker", "nul", "[1] marker",
                           "\"\\q\"", "01", "\"\\u12\"", "\"\n\"", "// marker\n1"}) {
    CAPTURE(text);
    const std::string said = refusal(text, Kind::not_json);
    CHECK(said.starts_with("the message is not valid JSON (at byte "));
    CHECK(said.find("marker") == std::string::npos);
  }
  CHECK(refusal("{\"a\": 1e400}", Kind::not_json) ==
        "the message has a number that is too large (at byte 11)");
  CHECK(refusal("\"\xff\"", Kind::not_utf8) == "the message is not valid UTF-8");
  CHECK(refusal("[\xc0\xaf]", Kind::not_utf8) == "the message is not valid UTF-8");
}

TEST_CASE("half a surrogate pair is U+FFFD, a whole one its character") {
  std::string text =
      R"(["\ud83d", "\uDE00!", "\\ud83d \ud83d\ude00 \uD83D \ude00", "\ud83d\ud83d\ude00"])";
  CHECK(parse_json(text) == json{"\uFFFD", "\uFFFD!", "\\ud83d 😀 \uFFFD \uFFFD", "\uFFFD😀"});
  CHECK(parse_json(text).is_array());  // what was read is what the text says now
  CHECK(text.find("\\uFFFD") != std::string::npos);
  CHECK_FALSE(refusal(R"(["\ud83d", "\q"])", BadJson::Kind::not_json).empty());
}

TEST_CASE("what was read before a fault is there for whoever must know what the message was") {
  try {
    parse_json(std::string(R"({"method": "m", "params": {"uri": "u", "list": [1, 2, oops]}})"));
    FAIL("it was read");
  } catch (const BadJson& bad) {
    CHECK(*bad.begun == json{{"method", "m"}, {"params", {{"uri", "u"}, {"list", {1, 2}}}}});
  }
}

}  // namespace hearth::lsp::test
