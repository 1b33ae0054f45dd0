// Answers that are bound to calls of tools.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/decode/json_mask.hpp"

using namespace hearth::engine;

namespace {

std::string answer_of(const std::string& parameters, const std::string& more = "") {
  return R"({"$calls": {"tools": [{"name": "f", "parameters": )" + parameters + "}]" + more + "}}";
}

std::string call_of(const std::string& parameters) {
  return "<tool_call>\n<function=f>\n" + parameters + "</function>\n</tool_call>";
}

std::string parameter(const std::string& name, const std::string& value) {
  return "<parameter=" + name + ">\n" + value + "\n</parameter>\n";
}

// "whole", "begun", or what may not stand there and all behind it.
std::string read(const std::string& answer, const std::string& text) {
  JsonCursor cursor(JsonForm::parse_answer(answer));
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!cursor.push(static_cast<unsigned char>(text[i]))) return text.substr(i);
  }
  return cursor.complete() ? "whole" : "begun";
}

std::string fault(const std::string& answer) {
  try {
    JsonForm::parse_answer(answer);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

// Of one parameter "p" with this schema: how a value of it is read.
std::string read_value(const std::string& schema, const std::string& value) {
  return read(answer_of(R"({"properties": {"p": )" + schema + R"(}, "required": ["p"]})"),
              call_of(parameter("p", value)));
}

}  // namespace

TEST_CASE("a call has the form that templates write, and its parameters in their order") {
  const std::string answer = answer_of(R"({"type": "object", "properties":
    {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "boolean"}},
    "required": ["a", "c"]})");
  const std::string a = parameter("a", "x\ny");
  const std::string b = parameter("b", "-12");
  const std::string c = parameter("c", "true");
  CHECK(read(answer, call_of(a + b + c)) == "whole");
  CHECK(read(answer, call_of(a + c)) == "whole");
  CHECK(read(answer, call_of(a)).starts_with("/function>"));  // c is required
  CHECK(read(answer, call_of(c + a)).starts_with("c>\n"));
  CHECK(read(answer, call_of(a + c + c)).starts_with("parameter=c"));
  CHECK(read(answer, "\n" + call_of(a + c)).starts_with("\n<tool_call>"));
  CHECK(read(answer, call_of(a + c) + "\n") == "\n");
  CHECK(read(answer, "I will").starts_with("I"));
  CHECK(read(answer, "<tool_call>\n<function=g") == "g");
  CHECK(read(answer_of("{}"), call_of("")) == "whole");
}

TEST_CASE("a value is a text as it is, one of those that are named, or JSON") {
  const char* text = R"({"type": ["string", "null"]})";
  for (const char* value : {"", "\n", "a < b", "</parameter", "<parameter=q>\n</function>", "é😀",
                            "\"quoted\"\\", "</param</paramete"}) {
    CAPTURE(value);
    CHECK(read_value(text, value) == "whole");
    CHECK(read_value("{}", value) == "whole");
  }
  CHECK(read_value(text, "\xff").starts_with("\xff"));
  CHECK(read_value(text, "x</parameter>y").starts_with("y"));

  const char* named = R"({"enum": ["red", "light red", 3, null]})";
  CHECK(read_value(named, "red") == "whole");
  CHECK(read_value(named, "light red") == "whole");
  CHECK(read_value(named, "3") == "whole");
  CHECK(read_value(named, "null") == "whole");
  CHECK(read_value(named, "reddish").starts_with("dish"));
  CHECK(read_value(named, "\"red\"").starts_with("\"red"));
  CHECK(read_value(R"({"const": ""})", "") == "whole");

  CHECK(read_value(R"({"type": "number"})", "1.5e3") == "whole");
  CHECK(read_value(R"({"type": "integer"})", "1.5").starts_with(".5"));
  CHECK(read_value(R"({"type": "boolean"})", "True").starts_with("True"));
  CHECK(read_value(R"({"type": "boolean"})", " true").starts_with(" true"));
  CHECK(read_value(R"({"anyOf": [{"type": "integer"}, {"enum": ["all"]}]})", "all") == "whole");
  CHECK(read_value(R"({"anyOf": [{"type": "integer"}, {"enum": ["all"]}]})", "17") == "whole");
  const char* nested = R"({"type": "object", "properties":
    {"tags": {"type": "array", "items": {"type": "string"}}}, "required": ["tags"]})";
  CHECK(read_value(nested, R"({"tags": ["a", "</parameter>"]})") == "whole");
  CHECK(read_value(nested, R"({"tags": 3})").starts_with("3"));
  CHECK(read(answer_of(R"({"$defs": {"n": {"type": "integer"}}, "properties":
                       {"p": {"$ref": "#/$defs/n"}}, "required": ["p"]})"),
             call_of(parameter("p", "x")))
            .starts_with("x"));
}

TEST_CASE("several calls, and another form instead of them") {
  const std::string one = call_of("");
  const std::string several = answer_of("{}", R"(, "several": true)");
  CHECK(read(several, one) == "whole");
  CHECK(read(several, one + "\n" + one + "\n" + one) == "whole");
  CHECK(read(several, one + "\n") == "begun");
  CHECK(read(answer_of("{}"), one + "\n" + one).starts_with("\n"));
  const std::string either =
      R"({"$calls": {"tools": [{"name": "f", "parameters": {}}]}, "$or": {"type": "integer"}})";
  CHECK(read(either, one) == "whole");
  CHECK(read(either, "\n\n" + one) == "whole");
  CHECK(read(either, "42") == "whole");
  CHECK(read(either, "x") == "x");
  const std::string two = R"({"$calls": {"tools": [{"name": "f", "parameters": {}},
    {"name": "fg", "parameters": {"properties": {"p": {}}}}]}})";
  CHECK(read(two, one) == "whole");
  CHECK(read(two, "<tool_call>\n<function=fg>\n" + parameter("p", "x") +
                      "</function>\n</tool_call>") == "whole");
  CHECK(read(two, "<tool_call>\n<function=f>\n<parameter").starts_with("parameter"));
}

TEST_CASE("what is not known of a tool's schema is refused where it is strict, else told") {
  const std::string schema = R"({"properties": {"p": {"type": "string", "pattern": "x"},
    "q": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}},
    "patternProperties": {}, "required": ["p", "q"]})";
  std::vector<std::string> unbound;
  JsonCursor cursor(JsonForm::parse_answer(answer_of(schema), &unbound));
  CHECK(unbound == std::vector<std::string>{"f.patternProperties", "f.properties.p.pattern",
                                            "f.properties.q.oneOf",
                                            "f.properties.q.anyOf.0.minimum"});
  CHECK(cursor.push(call_of(parameter("p", "any") + parameter("q", "0"))));
  CHECK(cursor.ended());
  const auto strict = [](const std::string& parameters) {
    return fault(R"({"$calls": {"tools": [{"name": "f", "strict": true, "parameters": )" +
                 parameters + "}]}}");
  };
  CHECK(strict(R"({"properties": {"p": {"type": "string", "pattern": "x"}}})") ==
        "the schema's $.properties.p.pattern is not supported");
  CHECK(strict(R"({"type": "array"})") == "the schema's $ is not of an object, as arguments are");
  CHECK(strict(R"({"properties": {"a>b": {}}})") ==
        "the schema's $.properties.a>b has a name that this model's calls cannot have");
  CHECK(strict(R"({"properties": {"a": {"const": "</parameter>"}}})") ==
        "the schema's $.properties.a has a value that this model's calls cannot have");
  CHECK(strict(R"({"$ref": "#"})") == "the schema's $ is nested too deep");
  CHECK(strict(R"({"properties": {"a": {"$ref": "#/properties/a"}}})") ==
        "the schema's $.properties.a" +
            [] {
              std::string refs;
              for (int i = 0; i < 33; ++i) refs += ".$ref";
              return refs;
            }() +
            " is nested too deep");
}

TEST_CASE("a mask leaves what a cursor leaves in a call, for every token") {
  const Tokenizer tokenizer = Tokenizer::load(HEARTH_SOURCE_DIR "/engine/ember");
  const auto vocabulary = std::make_shared<const SortedVocabulary>(tokenizer);
  const auto form = JsonForm::parse_answer(answer_of(R"({"properties": {"a": {"type": "string"},
    "b": {"enum": ["one", 2]}, "c": {"type": "number"}}, "required": ["a"]})"));
  const std::string a = "<tool_call>\n<function=f>\n<parameter=a>\n";
  for (const std::string& begun :
       {std::string(), std::string("<tool_call>"), a, a + "x", a + "x <", a + "x</para", a + "\xc3",
        a + "x\n</parameter>", a + "x</parameter>\n",
        a + "x</parameter>\n<parameter=", a + "</parameter>\n<parameter=b>\n",
        a + "</parameter>\n<parameter=c>\n1", a + "</parameter>\n</function>\n</tool_call>"}) {
    CAPTURE(begun);
    JsonMask mask(form, vocabulary);
    mask.accept(begun);
    std::vector<float> logits(tokenizer.vocab_size(), 1.0F);
    mask.mask(logits, {});
    JsonCursor cursor(form);
    REQUIRE(cursor.push(begun));
    std::size_t differences = 0;
    for (std::size_t id = 0; id < logits.size(); ++id) {
      const auto token = static_cast<TokenId>(id);
      JsonCursor next = cursor;
      const bool may = !tokenizer.bytes(token).empty() && !tokenizer.is_special(token) &&
                       next.push(tokenizer.bytes(token));
      if (may != (logits[id] == 1.0F)) ++differences;
    }
    CHECK(differences == 0);
  }
}
