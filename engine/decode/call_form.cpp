// The form of calls of tools: names and what stands around them are given, a parameter's value is
// its schema's: a text as it is, what an "enum" has, else JSON.
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/decode/json_schema.hpp"
#include "engine/support/types.hpp"

namespace hearth::engine {
namespace {

using Json = JsonFormReader::Json;

constexpr const char* end_of_parameter = "</parameter>";

// A text stands as it is, without quotes.
std::string value_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_value(value);
}

}  // namespace

class CallFormReader {
 public:
  explicit CallFormReader(std::vector<std::string>* unbound) : unbound_(unbound) {
    form_.nodes_.emplace_back();
  }

  JsonForm read(const Json& answer) {
    const Json& calls = answer.at("$calls");
    std::vector<int> choices;
    for (const Json& tool : calls.at("tools")) choices.push_back(call(tool));
    form_.root_ = one_of(std::move(choices), true);
    if (calls.value("several", false)) form_.root_ = repeated(form_.root_);
    if (answer.contains("$or")) {
      const Json& schema = answer["$or"];
      const int other = JsonFormReader(form_, schema).node(schema, "$", 0);
      form_.root_ = one_of({other, form_.root_}, false);
    }
    return std::move(form_);
  }

 private:
  using Kind = JsonForm::Kind;
  using Node = JsonForm::Node;

  // What a parameter may be.
  struct Values {
    bool any_text = false;
    std::vector<std::string> literals;
    std::vector<int> json;
  };

  int add(Node node) {
    node.exact = true;
    form_.nodes_.push_back(std::move(node));
    return static_cast<int>(form_.nodes_.size()) - 1;
  }
  int text(std::string exactly) {
    return add({.kind = Kind::literal, .literal = std::move(exactly)});
  }
  int one_of(std::vector<int> choices, bool exact) {
    const int made = add({.kind = Kind::any_of, .choices = std::move(choices)});
    form_.nodes_[static_cast<std::size_t>(made)].exact = exact;
    return made;
  }
  int sequence(const std::vector<int>& parts) {
    Node node{.kind = Kind::sequence};
    for (const int part : parts) node.properties.push_back({{}, part, true});
    return add(std::move(node));
  }

  // One, or one and more behind it.
  int repeated(int once) {
    const int made = one_of({}, true);
    const std::vector<int> choices{once, sequence({once, text("\n"), made})};
    form_.nodes_[static_cast<std::size_t>(made)].choices = choices;
    return made;
  }

  int call(const Json& tool) {
    const auto name = tool.at("name").get<std::string>();
    const Json& schema = tool.at("parameters");
    std::vector<std::string> places;
    JsonFormReader reader(form_, schema, tool.value("strict", false) ? nullptr : &places);
    Node node{.kind = Kind::sequence};
    node.properties.push_back({{}, text("<tool_call>\n<function=" + name + ">\n"), true});
    add_parameters(node, reader, schema);
    node.properties.push_back({{}, text("</function>\n</tool_call>"), true});
    if (unbound_ != nullptr) {
      for (const std::string& place : places) unbound_->push_back(name + place.substr(1));
    }
    return add(std::move(node));
  }

  void add_parameters(Node& node, JsonFormReader& reader, const Json& root) {
    const Json* schema = &root;
    for (int depth = 0; schema->is_object() && schema->contains("$ref"); ++depth) {
      if (depth > JsonFormReader::max_nesting) JsonFormReader::refuse("$", "is nested too deep");
      schema = &reader.referred((*schema)["$ref"], "$");
    }
    if (!schema->is_object() || schema->value("type", Json("object")) != Json("object"))
      JsonFormReader::refuse("$", "is not of an object, as arguments are");
    reader.require_known(*schema, "$", JsonFormReader::members_of_objects);
    if (!schema->contains("properties")) return;
    const Json& properties = (*schema)["properties"];
    if (!properties.is_object() || properties.size() > JsonFormReader::max_properties)
      JsonFormReader::refuse("$.properties", "are no object of schemas, or too many");
    for (const auto& [name, value] : properties.items()) {
      const std::string place = "$.properties." + name;
      if (name.empty() || name.find_first_of("<>\n") != std::string::npos)
        JsonFormReader::refuse(place, "has a name that this model's calls cannot have");
      const int opening = text("<parameter=" + name + ">\n");
      const int parameter = sequence({opening, value_of(reader, value, place), text("\n")});
      node.properties.push_back({{}, parameter, JsonFormReader::is_required(*schema, name)});
    }
  }

  int value_of(JsonFormReader& reader, const Json& schema, const std::string& place) {
    Values values;
    collect(reader, schema, place, 0, values);
    if (values.any_text) return add({.kind = Kind::free_text, .literal = end_of_parameter});
    const std::string end = std::string("\n") + end_of_parameter;
    std::vector<int> choices;
    for (const std::string& literal : values.literals) {
      if (literal.find(end_of_parameter) != std::string::npos)
        JsonFormReader::refuse(place, "has a value that this model's calls cannot have");
      choices.push_back(text(literal + end));
    }
    for (const int json : values.json) choices.push_back(sequence({json, text(end)}));
    return one_of(std::move(choices), true);
  }

  void collect(JsonFormReader& reader, const Json& schema, const std::string& place, int depth,
               Values& values) {
    if (depth > JsonFormReader::max_nesting) JsonFormReader::refuse(place, "is nested too deep");
    if (schema.is_boolean() && schema.get<bool>()) {
      values.any_text = true;
      return;
    }
    if (!schema.is_object()) JsonFormReader::refuse(place, "is no schema");
    if (schema.contains("$ref")) {
      return collect(reader, reader.referred(schema["$ref"], place), place + ".$ref", depth + 1,
                     values);
    }
    if (schema.contains("const") || schema.contains("enum")) {
      reader.require_known(schema, place, {schema.contains("const") ? "const" : "enum", "type"});
      for (const Json& value : values_of(schema, place))
        values.literals.push_back(value_text(value));
      return;
    }
    if (const Json* choices = reader.choices_of(schema, place)) {
      for (std::size_t i = 0; i < choices->size(); ++i) {
        collect(reader, (*choices)[i], place + ".anyOf." + std::to_string(i), depth + 1, values);
      }
      return;
    }
    collect_types(reader, schema, place, depth, values);
  }

  void collect_types(JsonFormReader& reader, const Json& schema, const std::string& place,
                     int depth, Values& values) {
    if (!schema.contains("type") && !schema.contains("properties")) {
      reader.require_known(schema, place, {});
      values.any_text = true;
      return;
    }
    const Json type = schema.value("type", Json("object"));
    for (const Json& each : type.is_array() ? type : Json::array({type})) {
      if (!each.is_string()) JsonFormReader::refuse(place + ".type", "is no type");
      const int made = reader.typed(schema, each.get<std::string>(), place, depth);
      form_.nodes_[static_cast<std::size_t>(made)].exact = true;
      if (each == Json("string"))
        values.any_text = true;
      else
        values.json.push_back(made);
    }
  }

  JsonForm form_;
  std::vector<std::string>* const unbound_;
};

std::shared_ptr<const JsonForm> JsonForm::parse_answer(const std::string& text,
                                                       std::vector<std::string>* unbound) {
  const Json answer = read_schema(text);
  if (!answer.is_object() || !answer.contains("$calls")) return parse(text);
  return std::make_shared<const JsonForm>(CallFormReader(unbound).read(answer));
}

}  // namespace hearth::engine
