// Calls that are bound to random schemas, written by a model that knows nothing: whatever it likes,
// each call is whole, and its arguments are of their schema. And by the embedded one.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "daemon/serve/response_form.hpp"
#include "daemon/serve/tool_calls.hpp"
#include "engine/engine.hpp"

using namespace hearth;
using daemon::Tool;
using daemon::ToolCallParser;
using daemon::ToolEvent;
using engine::TokenId;
using nlohmann::json;

namespace {

class Chance {
 public:
  explicit Chance(unsigned seed) : random_(seed) {}
  std::size_t below(std::size_t limit) { return random_() % limit; }
  bool yes() { return below(2) == 0; }

 private:
  std::mt19937 random_;
};

json any_schema(Chance& chance, int depth);

json object_schema(Chance& chance, int depth) {
  json schema{{"type", "object"}, {"properties", json::object()}, {"required", json::array()}};
  for (std::size_t i = 0; i < 1 + chance.below(3); ++i) {
    const std::string name(1 + chance.below(3), static_cast<char>('a' + i));
    schema["properties"][name] = any_schema(chance, depth + 1);
    if (chance.yes()) schema["required"].push_back(name);
  }
  return schema;
}

json any_schema(Chance& chance, int depth) {
  switch (chance.below(depth < 3 ? 9 : 6)) {
    case 0:
      return {{"type", "string"}};
    case 1:
      return {{"type", "integer"}};
    case 2:
      return {{"type", {"number", "null"}}};
    case 3:
      return {{"type", "boolean"}};
    case 4:
      return {{"enum", {"red", "dark red", "\n", 1, true, nullptr}}};
    case 5:
      return {{"type", {"string", "null"}}};
    case 6:
      return {{"type", "array"}, {"items", any_schema(chance, depth + 1)}};
    case 7:
      return {{"anyOf", {any_schema(chance, depth + 1), {{"enum", {"none", "-"}}}}}};
    default:
      return object_schema(chance, depth);
  }
}

bool is_of_type(const json& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  return type == "array" ? value.is_array() : value.is_object();
}

bool is_valid(const json& value, const json& schema) {
  if (schema.contains("enum")) return std::ranges::count(schema["enum"], value) > 0;
  if (schema.contains("anyOf")) {
    return std::ranges::any_of(schema["anyOf"],
                               [&](const json& each) { return is_valid(value, each); });
  }
  const json types = schema["type"].is_array() ? schema["type"] : json::array({schema["type"]});
  if (std::ranges::none_of(types, [&](const json& type) { return is_of_type(value, type); }))
    return false;
  if (value.is_array()) {
    return std::ranges::all_of(value,
                               [&](const json& each) { return is_valid(each, schema["items"]); });
  }
  if (!value.is_object()) return true;
  for (const json& name : schema["required"]) {
    if (!value.contains(name)) return false;
  }
  return std::ranges::all_of(value.items(), [&](const auto& member) {
    return schema["properties"].contains(member.key()) &&
           is_valid(member.value(), schema["properties"][member.key()]);
  });
}

Tool random_tool(Chance& chance, const std::string& name) {
  const json parameters = object_schema(chance, 1);
  const json declared{{"type", "function"},
                      {"function", {{"name", name}, {"parameters", parameters}}}};
  return {name, declared.dump(), parameters, true};
}

// The calls in it, each valid for its tool; fails the test for one that is not, or a text.
std::size_t valid_calls(const std::string& text, const std::vector<Tool>& tools) {
  ToolCallParser parser(tools);
  std::vector<ToolEvent> events = parser.push(text);
  for (ToolEvent& event : parser.finish()) events.push_back(std::move(event));
  std::vector<std::pair<std::string, std::string>> calls;
  for (const ToolEvent& event : events) {
    CHECK(event.kind != ToolEvent::Kind::text);
    if (event.kind == ToolEvent::Kind::call) calls.emplace_back(event.text, "");
    if (event.kind == ToolEvent::Kind::arguments) calls.back().second += event.text;
  }
  for (const auto& [name, arguments] : calls) {
    CAPTURE(arguments);
    const auto tool = std::ranges::find(tools, name, &Tool::name);
    REQUIRE(tool != tools.end());
    CAPTURE(tool->parameters.dump());
    const json value = json::parse(arguments, nullptr, false);
    REQUIRE_FALSE(value.is_discarded());
    CHECK(is_valid(value, tool->parameters));
  }
  return calls.size();
}

// What is missing of the closing tag that the text ends with a part of.
std::string_view rest_of_tag(const std::string& text) {
  constexpr std::string_view tag = "</parameter>";
  std::size_t part = tag.size() - 1;
  while (part > 0 && !text.ends_with(tag.substr(0, part))) --part;
  return tag.substr(part);
}

// Writes whatever may follow, the more eagerly what leads to an end the longer it has written.
std::string write_blindly(const std::shared_ptr<const engine::JsonForm>& form,
                          const engine::Tokenizer& tokenizer,
                          const std::shared_ptr<const engine::SortedVocabulary>& vocabulary,
                          Chance& chance) {
  engine::JsonMask mask(form, vocabulary);
  const TokenId stop = *tokenizer.special("<|im_end|>");
  std::string text;
  for (std::size_t written = 0; !mask.ended(); ++written) {
    REQUIRE(written < 2000);
    std::vector<float> logits(tokenizer.vocab_size(), 0.0F);
    mask.mask(logits, std::vector<TokenId>{stop});
    const bool hurries = chance.below(40) < written;
    std::vector<TokenId> may;
    std::vector<TokenId> ends;
    std::vector<TokenId> closes;  // the next of the closing tag
    const std::string_view rest = rest_of_tag(text);
    for (std::size_t id = 0; id < logits.size(); ++id) {
      if (logits[id] != 0.0F) continue;
      const auto token = static_cast<TokenId>(id);
      if (token == stop && (hurries || chance.yes())) return text;
      if (token == stop) continue;
      may.push_back(token);
      const std::string_view bytes = tokenizer.bytes(token);
      if (bytes.find_first_not_of("\n}]\"") == bytes.npos) ends.push_back(token);
      if (rest.starts_with(bytes)) closes.push_back(token);
    }
    REQUIRE_FALSE(may.empty());
    const auto* from = &may;
    if (hurries && !ends.empty()) from = &ends;
    if (hurries && !closes.empty() && chance.below(4) > 0) from = &closes;
    const TokenId token = (*from)[chance.below(from->size())];
    text += tokenizer.bytes(token);
    mask.accept(tokenizer.bytes(token));
  }
  return text;
}

}  // namespace

TEST_CASE("whatever a model likes, each bound call is whole and of its schema") {
  const engine::Tokenizer tokenizer = engine::Tokenizer::load(HEARTH_SOURCE_DIR "/engine/ember");
  const auto vocabulary = std::make_shared<const engine::SortedVocabulary>(tokenizer);
  std::size_t calls = 0;
  for (unsigned seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    Chance chance(seed);
    std::vector<Tool> tools;
    for (std::size_t i = 0; i < 1 + chance.below(2); ++i)
      tools.push_back(random_tool(chance, "tool" + std::to_string(i)));
    const auto asked = daemon::form_of_calls(tools, chance.yes(), "");
    CHECK(asked.unbound.empty());
    const auto form = engine::JsonForm::parse_answer(asked.form);
    const std::string text = write_blindly(form, tokenizer, vocabulary, chance);
    CAPTURE(text);
    const std::size_t made = valid_calls(text, tools);
    CHECK(made > 0);
    calls += made;
  }
  MESSAGE(calls << " calls, all of them whole and valid");
}
