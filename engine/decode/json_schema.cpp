// Each kind of schema, and references.
#include "engine/decode/json_schema.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/support/types.hpp"

namespace hearth::engine {
namespace {

using Json = JsonFormReader::Json;

constexpr std::size_t max_nodes = 20'000;

// Members that say nothing of what a value looks like.
constexpr std::array<std::string_view, 10> silent{
    "title",    "description", "default", "examples",    "$schema",
    "$comment", "$id",         "$defs",   "definitions", "deprecated"};

const std::vector<std::string_view> members_of_lists{"type", "items", "properties", "required",
                                                     "additionalProperties"};

}  // namespace

std::string dump_value(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Json> values_of(const Json& schema, const std::string& place) {
  if (schema.contains("const")) return {schema["const"]};
  const Json& values = schema["enum"];
  if (!values.is_array() || values.empty() || values.size() > JsonFormReader::max_properties)
    JsonFormReader::refuse(place + ".enum", "is no list of values");
  return {values.begin(), values.end()};
}

Json read_schema(const std::string& text) {
  const auto no_deeper = [](int depth, Json::parse_event_t, Json&) {
    if (depth > 4 * JsonFormReader::max_nesting)
      throw Error("the schema's values are nested too deep");
    return true;
  };
  Json root = Json::parse(text, no_deeper, false);
  if (root.is_discarded()) throw Error("the schema's text is no JSON");
  return root;
}

void JsonFormReader::refuse(const std::string& place, const std::string& what) {
  throw Error("the schema's " + place + " " + what);
}

void JsonFormReader::refuse_unknown(const std::string& place, const std::string& what) {
  if (unbound_ == nullptr) refuse(place, what);
  unbound_->push_back(place);
}

int JsonFormReader::add(JsonForm::Node node) {
  if (form_.nodes_.size() >= max_nodes) refuse("whole", "is too large");
  form_.nodes_.push_back(std::move(node));
  return static_cast<int>(form_.nodes_.size()) - 1;
}

int JsonFormReader::literal(const Json& value) {
  return add({.kind = Kind::literal, .literal = dump_value(value)});
}

int JsonFormReader::any_of(std::vector<int> choices) {
  return add({.kind = Kind::any_of, .choices = std::move(choices)});
}

int JsonFormReader::node(const Json& schema, const std::string& place, int depth) {
  if (depth > max_nesting) refuse(place, "is nested too deep");
  if (schema.is_boolean() && schema.get<bool>()) return 0;
  if (!schema.is_object()) refuse(place, "is no schema");
  if (schema.contains("$ref")) return reference(schema["$ref"], place, depth);
  if (schema.contains("const") || schema.contains("enum")) {
    require_known(schema, place, {schema.contains("const") ? "const" : "enum", "type"});
    const bool one = schema.contains("const");
    std::vector<int> choices;
    for (const Json& value : values_of(schema, place)) choices.push_back(literal(value));
    return one ? choices.front() : any_of(std::move(choices));
  }
  if (const Json* given = choices_of(schema, place)) {
    std::vector<int> choices;
    for (std::size_t i = 0; i < given->size(); ++i)
      choices.push_back(node((*given)[i], place + ".anyOf." + std::to_string(i), depth + 1));
    return any_of(std::move(choices));
  }
  if (!schema.contains("type")) {
    const bool object = schema.contains("properties");
    require_known(schema, place, object ? members_of_objects : std::vector<std::string_view>{});
    return object ? object_node(schema, place, depth) : 0;
  }
  const Json& type = schema["type"];
  if (type.is_string()) return typed(schema, type.get<std::string>(), place, depth);
  if (!type.is_array() || type.empty()) refuse(place + ".type", "is no type");
  std::vector<int> choices;
  for (const Json& each : type) {
    if (!each.is_string()) refuse(place + ".type", "is no type");
    choices.push_back(typed(schema, each.get<std::string>(), place, depth));
  }
  return any_of(std::move(choices));
}

void JsonFormReader::require_known(const Json& schema, const std::string& place,
                                   const std::vector<std::string_view>& known) {
  for (const auto& [name, value] : schema.items()) {
    const auto is = [&name = name](std::string_view each) { return each == name; };
    if (std::ranges::any_of(silent, is) || std::ranges::any_of(known, is)) continue;
    refuse_unknown(place + "." + name, "is not supported");
  }
}

// Where more may stay unbound, one of exactly one counts as one of any.
const Json* JsonFormReader::choices_of(const Json& schema, const std::string& place) {
  const bool one_of = unbound_ != nullptr && !schema.contains("anyOf") && schema.contains("oneOf");
  const std::string name = one_of ? "oneOf" : "anyOf";
  if (!schema.contains(name)) return nullptr;
  require_known(schema, place, {"anyOf"});
  const Json& given = schema[name];
  if (!given.is_array() || given.empty()) refuse(place + "." + name, "is no list of schemas");
  return &given;
}

const Json& JsonFormReader::referred(const Json& name, const std::string& place) const {
  if (!name.is_string()) refuse(place + ".$ref", "is no text");
  const auto path = name.get<std::string>();
  const Json* at = &root_;
  if (path == "#") return *at;
  if (!path.starts_with("#/")) refuse(place + ".$ref", "does not refer into the schema");
  for (std::size_t begin = 2; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string member = path.substr(begin, end - begin);
    if (!at->is_object() || !at->contains(member)) refuse(place + ".$ref", "refers to nothing");
    at = &(*at)[member];
    begin = end + 1;
  }
  return *at;
}

// Once for each name, so that a schema may refer to itself.
int JsonFormReader::reference(const Json& name, const std::string& place, int depth) {
  const Json& to = referred(name, place);
  const auto path = name.get<std::string>();
  if (const auto known = references_.find(path); known != references_.end()) return known->second;
  // A choice of one, which stands for it until it is known.
  const int place_of = any_of({});
  references_[path] = place_of;
  const int target = node(to, place + ".$ref", depth + 1);
  form_.nodes_[static_cast<std::size_t>(place_of)].choices = {target};
  return place_of;
}

int JsonFormReader::typed(const Json& schema, const std::string& type, const std::string& place,
                          int depth) {
  if (type == "object") {
    require_known(schema, place, members_of_objects);
    return object_node(schema, place, depth);
  }
  if (type == "array") {
    require_known(schema, place, members_of_lists);
    JsonForm::Node array{.kind = Kind::array};
    if (schema.contains("items")) array.items = node(schema["items"], place + ".items", depth + 1);
    return add(std::move(array));
  }
  const bool one_of_several = schema.contains("type") && schema["type"].is_array();
  require_known(schema, place,
                one_of_several ? members_of_lists : std::vector<std::string_view>{"type"});
  if (type == "string") return add({.kind = Kind::string});
  if (type == "number") return add({.kind = Kind::number});
  if (type == "integer") return add({.kind = Kind::integer});
  if (type == "boolean") return any_of({literal(true), literal(false)});
  if (type == "null") return literal(nullptr);
  refuse(place + ".type", "is no type of JSON");
}

int JsonFormReader::object_node(const Json& schema, const std::string& place, int depth) {
  const Json none = Json::object();
  const Json& properties = schema.contains("properties") ? schema["properties"] : none;
  if (!properties.is_object() || properties.size() > max_properties)
    refuse(place + ".properties", "are no object of schemas, or too many");
  if (schema.contains("additionalProperties")) {
    const Json& more = schema["additionalProperties"];
    if (more != Json(false) && !(properties.empty() && more == Json(true)))
      refuse_unknown(place + ".additionalProperties", "is supported as false alone");
  }
  if (properties.empty() && schema.value("additionalProperties", Json()) == Json(false))
    return literal(Json::object());
  JsonForm::Node object{.kind = Kind::object};
  for (const auto& [name, value] : properties.items()) {
    const int of = node(value, place + ".properties." + name, depth + 1);
    object.properties.push_back({dump_value(name), of, is_required(schema, name)});
  }
  return add(std::move(object));
}

bool JsonFormReader::is_required(const Json& schema, const std::string& name) {
  if (!schema.contains("required")) return false;
  const Json& required = schema["required"];
  return required.is_array() && std::ranges::find(required, Json(name)) != required.end();
}

std::shared_ptr<const JsonForm> JsonForm::parse(const std::string& schema) {
  const Json root = read_schema(schema);
  JsonForm form;
  form.nodes_.emplace_back();
  form.root_ = JsonFormReader(form, root).node(root, "$", 0);
  return std::make_shared<const JsonForm>(std::move(form));
}

}  // namespace hearth::engine
