// Negotiation of capabilities and of the hearth/* extension.
#include "lsp/client.hpp"

#include <algorithm>
#include <charconv>

#include "lsp/extension.hpp"

namespace hearth::lsp {
namespace {

constexpr std::array<std::string_view, 3> encodings{"utf-8", "utf-16", "utf-32"};
constexpr std::int64_t llm_generated = 1;  // CodeActionTag

bool contains(const Json* array, const Json& value) {
  return array != nullptr && array->is_array() &&
         std::find(array->begin(), array->end(), value) != array->end();
}

// The first of the client's that is known; utf-16 where it names none.
Encoding choose_encoding(const Json& capabilities) {
  const Json* offered = find_path(capabilities, {"general", "positionEncodings"});
  if (offered == nullptr || !offered->is_array()) return Encoding::utf16;
  for (const Json& name : *offered) {
    for (std::size_t i = 0; i < encodings.size(); ++i) {
      if (name == encodings[i]) return static_cast<Encoding>(i);
    }
  }
  return Encoding::utf16;
}

// "0.12.4-dev+…" → {0, 12}
std::pair<int, int> major_minor(std::string_view version) {
  if (version.starts_with('v')) version.remove_prefix(1);
  std::pair<int, int> parsed{0, 0};
  const char* end = version.data() + version.size();
  const auto major = std::from_chars(version.data(), end, parsed.first);
  if (major.ptr != end && *major.ptr == '.') std::from_chars(major.ptr + 1, end, parsed.second);
  return parsed;
}

// Text that a client may leave out.
std::string text_at(const Json& object, std::initializer_list<const char*> path) {
  const Json* value = find_path(object, path);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

// Editors known to ask for inline completions without waiting for the answer.
bool asks_asynchronously(const Json& params) {
  const std::string name = text_at(params, {"clientInfo", "name"});
  for (const std::string_view editor : {"Visual Studio Code", "VSCodium", "Code - OSS"}) {
    if (name.starts_with(editor)) return true;
  }
  return name == "Neovim" &&
         major_minor(text_at(params, {"clientInfo", "version"})) >= std::pair{0, 12};
}

std::string first_folder(const Json& params) {
  const Json* folders = find(params, "workspaceFolders");
  if (folders != nullptr && folders->is_array() && !folders->empty()) {
    return text_at(folders->front(), {"uri"});
  }
  return text_at(params, {"rootUri"});
}

void read_extension(const Json& params, Client& client) {
  const Json* wish = find_path(params, {"initializationOptions", "hearth"});
  if (wish == nullptr) return;
  const std::int64_t protocol = integer_member(*wish, "protocol");
  if (protocol < 1) throw InvalidParams("\"protocol\" of \"hearth\" is less than 1");
  client.protocol = std::min(protocol, extension::protocol_version);
  const Json* features = find(*wish, "features");
  for (const std::string_view feature : extension::all_features) {
    if (contains(features, feature)) client.features.emplace(feature);
  }
}

}  // namespace

Client read_client(const Json& params) {
  const Json& capabilities = member(params, "capabilities");
  Client client;
  client.encoding = choose_encoding(capabilities);
  client.work_done_progress = flag(capabilities, {"window", "workDoneProgress"});
  client.show_document = flag(capabilities, {"window", "showDocument", "support"});
  client.text_document_content =
      find_path(capabilities, {"workspace", "textDocumentContent"}) != nullptr;
  const Json* action = find_path(capabilities, {"textDocument", "codeAction"});
  if (action != nullptr) {
    client.code_action_literals = find(*action, "codeActionLiteralSupport") != nullptr;
    client.disabled_actions = flag(*action, {"disabledSupport"});
    client.action_tags =
        contains(find_path(*action, {"tagSupport", "valueSet"}), Json(llm_generated));
  }
  client.root = first_folder(params);
  read_extension(params, client);
  client.async_inline =
      client.has(extension::feature_inline_completion) || asks_asynchronously(params);
  return client;
}

Json initialize_result(const Client& client, std::string_view version, const Json& commands,
                       const Json& kinds) {
  constexpr int incremental = 2;
  Json capabilities{
      {"positionEncoding", enum_name(encodings, client.encoding)},
      {"textDocumentSync", {{"openClose", true}, {"change", incremental}}},
      {"codeActionProvider", {{"codeActionKinds", kinds}, {"resolveProvider", false}}},
      {"executeCommandProvider", {{"commands", commands}}},
      // Static: Neovim 0.12 takes no dynamic registration. `true`, because some clients read {} as
      // nothing.
      {"inlineCompletionProvider", true}};
  if (client.text_document_content) {
    capabilities["workspace"] = {{"textDocumentContent", {{"schemes", Json::array({"hearth"})}}}};
  }
  if (client.protocol > 0) {
    capabilities["experimental"] = {
        {"hearth", {{"protocol", client.protocol}, {"features", client.features}}}};
  }
  return {{"capabilities", std::move(capabilities)},
          {"serverInfo", {{"name", "hearth"}, {"version", version}}}};
}

}  // namespace hearth::lsp
