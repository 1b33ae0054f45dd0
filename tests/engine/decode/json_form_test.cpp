// What may follow in JSON of a form, byte by byte, and what a schema may say.
#include "engine/decode/json_form.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "engine/decode/json_mask.hpp"

using namespace hearth::engine;

namespace {

constexpr const char* any_object = R"({"type": "object"})";

// "whole", "begun", or "no" with the number of bytes that may stand there.
std::string read(const std::string& schema, const std::string& text) {
  JsonCursor cursor(JsonForm::parse(schema));
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!cursor.push(static_cast<unsigned char>(text[i]))) return "no " + std::to_string(i);
  }
  return cursor.complete() ? "whole" : "begun";
}

std::string fault(const std::string& schema) {
  try {
    JsonForm::parse(schema);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("any JSON value is read, and nothing else") {
  for (const std::string text :
       {R"({})", R"({"a": 1})", "{\n  \"a\": {\"b\": [ 1, -2.5e+3, 0 ]},\n \"c\": null }",
        R"({"a": "\n \" \\ \u00e9 é 😀", "b": [true, false, null, {}, []]})"}) {
    CAPTURE(text);
    CHECK(read(any_object, text) == "whole");
    CHECK(read(any_object, text.substr(0, text.size() - 1)) == "begun");
  }
  CHECK(read(any_object, "[") == "no 0");
  CHECK(read(any_object, "{,") == "no 1");
  CHECK(read(any_object, R"({"a": 1,})") == "no 8");
  CHECK(read(any_object, R"({"a": 01)") == "no 7");
  CHECK(read(any_object, R"({"a": 1.})") == "no 8");
  CHECK(read(any_object, R"({"a": -})") == "no 7");
  CHECK(read(any_object, R"({"a": tru})") == "no 9");
  CHECK(read(any_object, R"({"a": [1,]})") == "no 9");
  CHECK(read(any_object, R"({"a": [1 2)") == "no 9");
  CHECK(read(any_object, R"({"a": "\x)") == "no 8");
  CHECK(read(any_object, R"({"a": "\ud8)") == "no 10");  // half a pair
  CHECK(read(any_object, "{\"a\": \"\n") == "no 7");
  CHECK(read(any_object, "{\"a\": \"\xc0") == "no 7");
  CHECK(read(any_object, "{\"a\": \"\xed\xa0") == "no 8");
  CHECK(read(any_object, "{\"a\": \"\xc3\"") == "no 8");
  CHECK(read(any_object, "{} ") == "no 2");
  // No blanks without end: a space, or a line break with its indentation.
  CHECK(read(any_object, "{ ") == "begun");
  CHECK(read(any_object, "{  ") == "no 2");
  CHECK(read(any_object, "{\n" + std::string(39, ' ')) == "begun");
  CHECK(read(any_object, "{\n" + std::string(40, ' ')) == "no 41");
  CHECK(read(any_object, "{\n\n") == "no 2");
  CHECK(read(any_object, "{\"a\": \n") == "no 6");
  CHECK(read(any_object, "{\"a\": 1 ,") == "no 8");
  CHECK(read(any_object, "{\"a\": [1\n,") == "no 9");
  CHECK(read(any_object, "\n\n{") == "begun");
  CHECK(read(any_object, "\n\n\n") == "no 2");
  std::string deep = "{\"a\": ";
  for (int i = 0; i < 80; ++i) deep += "[";
  CHECK(read(any_object, deep).starts_with("no "));
  CHECK(read("{}", "17") == "whole");
  CHECK(read("true", "\"x\"") == "whole");
}

TEST_CASE("a schema's members come in its order, and those that need not may be left out") {
  const std::string schema = R"({"type": "object", "properties": {"name": {"type": "string"},
    "age": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "ab", 3]}}},
    "required": ["name", "tags"], "additionalProperties": false})";
  CHECK(read(schema, R"({"name": "x", "age": 3, "tags": ["a", "ab", 3]})") == "whole");
  CHECK(read(schema, R"({"name": "x", "tags": []})") == "whole");
  CHECK(read(schema, R"({"age")") == "no 2");
  CHECK(read(schema, R"({"name": "x"})") == "no 12");
  CHECK(read(schema, R"({"name": "x" )") == "no 12");  // nothing could follow
  CHECK(read(schema, R"({"name": "x", "tags": [] )") == "begun");
  CHECK(read(schema, R"({"name": "x", "age": 1.5)") == "no 22");
  CHECK(read(schema, R"({"name": "x", "tags": ["b)") == "no 24");
  CHECK(read(schema, R"({"name": "x", "tags": [], )") == "no 24");
  CHECK(read(schema, R"({"name": 3)") == "no 9");
}

TEST_CASE("an object without properties has none where no others may be") {
  CHECK(read(R"({"type": "object", "additionalProperties": false})", "{}") == "whole");
  CHECK(read(R"({"type": "object", "additionalProperties": false})", "{\"") == "no 1");
}

TEST_CASE("choices, constants and references") {
  const std::string schema = R"({"$defs": {"node": {"type": "object", "properties":
    {"value": {"type": ["number", "null"]}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
     "kind": {"const": "n"}, "on": {"type": "boolean"}},
    "required": ["value", "next", "kind", "on"]}}, "$ref": "#/$defs/node"})";
  CHECK(
      read(
          schema,
          R"({"value": -1e5, "next": {"value": null, "next": null, "kind": "n", "on": true}, "kind": "n", "on": false})") ==
      "whole");
  CHECK(read(schema, R"({"value": 1, "next": 3)") == "no 21");
  CHECK(read(schema, R"({"value": 1, "next": null, "kind": "m)") == "no 36");
  CHECK(read(R"({"anyOf": [{"type": "integer"}, {"type": "number"}]})", "12") == "whole");
  CHECK(read(R"({"anyOf": [{"type": "integer"}, {"type": "number"}]})", "12.") == "begun");
  // A choice that leads to itself alone has no value.
  CHECK(read(R"({"$ref": "#"})", "1") == "no 0");
}

TEST_CASE("what a schema says that is not known is refused by name and place") {
  CHECK(fault(R"({"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}})") ==
        "the schema's $.properties.a.pattern is not supported");
  CHECK(fault(R"({"type": "array", "items": {"type": "string"}, "minItems": 2})") ==
        "the schema's $.minItems is not supported");
  CHECK(fault(R"({"oneOf": [{"type": "string"}]})") == "the schema's $.oneOf is not supported");
  CHECK(fault(R"({"type": "object", "properties": {"a": true}, "additionalProperties": true})") ==
        "the schema's $.additionalProperties is supported as false alone");
  CHECK(fault(R"({"type": "text"})") == "the schema's $.type is no type of JSON");
  CHECK(fault(R"({"$ref": "#/$defs/x"})") == "the schema's $.$ref refers to nothing");
  CHECK(fault(R"({"$ref": "http://x"})") == "the schema's $.$ref does not refer into the schema");
  CHECK(fault("17") == "the schema's $ is no schema");
  CHECK(fault("{") == "the schema's text is no JSON");
  CHECK(
      fault(
          R"({"type": "object", "title": "t", "description": "d", "additionalProperties": true})") ==
      "none");
}

TEST_CASE("wherever an answer is, it can go on, or it is at its end") {
  std::mt19937 random(7);
  for (
      const char* schema :
      {any_object,
       R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "xy", 1]},
            "c": {"type": "array", "items": {"type": ["null", "boolean"]}}}, "required": ["a", "c"]})",
       R"({"$defs": {"n": {"anyOf": [{"type": "null"}, {"type": "object", "properties":
            {"next": {"$ref": "#/$defs/n"}}, "required": ["next"]}]}}, "$ref": "#/$defs/n"})"}) {
    CAPTURE(schema);
    for (int walk = 0; walk < 20; ++walk) {
      JsonCursor cursor(JsonForm::parse(schema));
      std::string text;
      while (!cursor.ended() && text.size() < 80) {
        std::string all;
        std::string structure;
        for (int byte = 0; byte < 256; ++byte) {
          JsonCursor next = cursor;
          if (!next.push(static_cast<unsigned char>(byte))) continue;
          all += static_cast<char>(byte);
          if (std::string_view("{}[]:,\" \n").find(static_cast<char>(byte)) != std::string::npos)
            structure += static_cast<char>(byte);
        }
        CAPTURE(text);
        REQUIRE_FALSE(all.empty());
        const std::string& from = !structure.empty() && random() % 2 == 0 ? structure : all;
        text += from[random() % from.size()];
        REQUIRE(cursor.push(static_cast<unsigned char>(text.back())));
      }
    }
  }
}

TEST_CASE("a mask leaves what a cursor leaves, for every token") {
  const Tokenizer tokenizer = Tokenizer::load(HEARTH_SOURCE_DIR "/engine/ember");
  const auto vocabulary = std::make_shared<const SortedVocabulary>(tokenizer);
  const auto form = JsonForm::parse(any_object);
  const std::vector<TokenId> stops{*tokenizer.special("<|im_end|>")};
  for (const char* begun : {"", "{", "{\"a", "{\"a\\", "{\"a\": ", "{\"a\": 1", "{\"a\": tr",
                            "{\"a\": [[", "{\"a\": \"\xc3", "{\"a\": 1}"}) {
    CAPTURE(begun);
    JsonMask mask(form, vocabulary);
    mask.accept(begun);
    std::vector<float> logits(tokenizer.vocab_size(), 1.0F);
    mask.mask(logits, stops);
    JsonCursor cursor(form);
    REQUIRE(cursor.push(begun));
    std::size_t differences = 0;
    for (std::size_t id = 0; id < logits.size(); ++id) {
      const auto token = static_cast<TokenId>(id);
      JsonCursor next = cursor;
      const bool stop = token == stops.front();
      const bool may = stop ? cursor.complete()
                            : !tokenizer.bytes(token).empty() && !tokenizer.is_special(token) &&
                                  next.push(tokenizer.bytes(token));
      if (may != (logits[id] == 1.0F)) ++differences;
    }
    CHECK(differences == 0);
    CHECK(mask.ended() == (std::string(begun) == "{\"a\": 1}"));
  }
  JsonMask mask(form, vocabulary);
  CHECK_THROWS_AS(mask.accept("x"), Error);
}
