// The two members, the text for calls, and what is wrong with a schema before anything waits for
// it.
#include "daemon/serve/response_form.hpp"

#include <nlohmann/json.hpp>

#include "daemon/serve/body.hpp"
#include "engine/engine.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

// Throws ApiError.
std::string checked(const nlohmann::ordered_json& schema, const std::string& name) {
  std::string text = schema.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  try {
    engine::JsonForm::parse(text);
  } catch (const engine::Error& wrong) {
    throw ApiError(400, "\"" + name + "\": " + wrong.what(), name, "invalid_schema");
  }
  return text;
}

}  // namespace

std::string read_form(const json& body, const std::string& text) {
  const json* format = lsp::find(body, "response_format");
  const bool schema_alone = lsp::find(body, "json_schema") != nullptr;
  if (format == nullptr && !schema_alone) return {};
  const auto written = nlohmann::ordered_json::parse(text, nullptr, false);
  if (format == nullptr) return checked(written.at("json_schema"), "json_schema");
  if (!format->is_object()) throw bad_member("response_format", "is no object");
  const std::string type = text_member(*format, "type", "response_format.").value_or("text");
  if (type == "text") return {};
  if (type == "json_object") return R"({"type": "object"})";
  if (type != "json_schema")
    throw bad_member("response_format.type",
                     "is none of \"text\", \"json_object\" and \"json_schema\"");
  const json* given = lsp::find(*format, "json_schema");
  if (given == nullptr || !given->is_object() || lsp::find(*given, "schema") == nullptr)
    throw bad_member("response_format.json_schema.schema", "is missing");
  return checked(written.at("response_format").at("json_schema").at("schema"),
                 "response_format.json_schema.schema");
}

CallForm form_of_calls(const std::vector<Tool>& tools, bool several, const std::string& other) {
  using Ordered = nlohmann::ordered_json;
  const auto dump = [](const Ordered& value) {
    return value.dump(-1, ' ', false, Ordered::error_handler_t::replace);
  };
  CallForm result;
  Ordered all = Ordered::array();
  for (const Tool& tool : tools) {
    // With its properties in the order in which the model is shown them.
    const Ordered declared = Ordered::parse(tool.declaration);
    const Ordered& function = declared.at("function");
    const bool any = function.contains("parameters") && !function["parameters"].is_null();
    const Ordered one{{"name", tool.name},
                      {"parameters", any ? function["parameters"] : Ordered::object()},
                      {"strict", tool.strict}};
    try {
      engine::JsonForm::parse_answer(dump({{"$calls", {{"tools", Ordered::array({one})}}}}),
                                     &result.unbound);
    } catch (const engine::Error& wrong) {
      throw ApiError(400, "\"tools\": of " + tool.name + ", " + wrong.what(), "tools",
                     "invalid_schema");
    }
    all.push_back(one);
  }
  Ordered form{{"$calls", {{"tools", std::move(all)}, {"several", several}}}};
  if (!other.empty()) form["$or"] = Ordered::parse(other);
  result.form = dump(form);
  return result;
}

}  // namespace hearth::daemon
