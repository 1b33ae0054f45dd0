// From a JSON schema to the nodes of a JsonForm: what is known of it is heeded, what would be
// ignored is refused. Private to the forms.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/decode/json_form.hpp"

namespace hearth::engine {

class JsonFormReader {
 public:
  using Json = nlohmann::ordered_json;

  static constexpr int max_nesting = 32;
  static constexpr std::size_t max_properties = 1'000;
  inline static const std::vector<std::string_view> members_of_objects{
      "type", "properties", "required", "additionalProperties", "items"};

  // Adds to `form`; `root` is what references refer into. Both outlive it. What is not known is
  // refused, or binds nothing and has its place added to `unbound`, where there is one.
  JsonFormReader(JsonForm& form, const Json& root, std::vector<std::string>* unbound = nullptr)
      : form_(form), root_(root), unbound_(unbound) {}

  // These throw Error that names `place`.
  int node(const Json& schema, const std::string& place, int depth);
  // As if `type` were the schema's only one.
  int typed(const Json& schema, const std::string& type, const std::string& place, int depth);
  const Json& referred(const Json& name, const std::string& place) const;
  // The choices of a schema that is one of several; null: it is none.
  const Json* choices_of(const Json& schema, const std::string& place);
  void require_known(const Json& schema, const std::string& place,
                     const std::vector<std::string_view>& known);
  [[noreturn]] static void refuse(const std::string& place, const std::string& what);
  static bool is_required(const Json& schema, const std::string& name);

  int add(JsonForm::Node node);

 private:
  using Kind = JsonForm::Kind;

  void refuse_unknown(const std::string& place, const std::string& what);
  int literal(const Json& value);
  int any_of(std::vector<int> choices);
  int reference(const Json& name, const std::string& place, int depth);
  int object_node(const Json& schema, const std::string& place, int depth);

  JsonForm& form_;
  const Json& root_;
  std::vector<std::string>* const unbound_;
  std::map<std::string, int> references_;
};

// The values of "enum" or "const"; throws Error for a list that is none.
std::vector<JsonFormReader::Json> values_of(const JsonFormReader::Json& schema,
                                            const std::string& place);
// Of untrusted text; throws Error.
JsonFormReader::Json read_schema(const std::string& text);
std::string dump_value(const JsonFormReader::Json& value);

}  // namespace hearth::engine
