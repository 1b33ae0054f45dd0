// The form that a chat's answer is bound to: "response_format", llama.cpp's "json_schema", and the
// calls of tools that it may be.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon/serve/tool_calls.hpp"

namespace hearth::daemon {

// As lsp::GenerateOptions::json_schema. `text`: the body before it was read, for the order of
// properties, which the answer follows. Throws ApiError; also for a schema that says what is not
// known here.
std::string read_form(const nlohmann::json& body, const std::string& text);

struct CallForm {
  std::string form;  // as above
  // "weather.properties.city.pattern": what of the schemas it does not heed.
  std::vector<std::string> unbound;
};
// Of calls of these tools; `several`: more than one. `other`: the form of an answer without a call;
// empty: there has to be one. Throws ApiError where a tool is strict and its schema says what is
// not known, or no call could be of it.
CallForm form_of_calls(const std::vector<Tool>& tools, bool several, const std::string& other);

}  // namespace hearth::daemon
