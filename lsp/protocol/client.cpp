// Negotiation of capabilities and of the hearth/* extension.
#include "lsp/protocol/client.hpp"

#include <algorithm>
#include <charconv>

#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {
namespace {

constexpr std::array<std::string_view, 3> encodings{"utf-8", "utf-16", "utf-32"};

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
bool asks_asynchronously(const Json& params, const std::string& name) {
  for (const std::string_view editor : {"Visual Studio Code", "VSCodium", "Code - OSS"}) {
    if (name.starts_with(editor)) return true;
  }
  return name == "Neovim" &&
         major_minor(text_at(params, {"clientInfo", "version"})) >= std::pair{0, 12};
}

InlineWaiting read_inline_waiting(const Json& params, const Client& client) {
  // As lsp-mode calls itself: from version 9 on it asks, and Emacs blocks for up to ten
  // seconds.
  constexpr std::string_view lsp_mode = "emacs";
  if (const Json* told = find_path(params, {"initializationOptions", "asyncInline"})) {
    if (!told->is_boolean()) throw InvalidParams("\"asyncInline\" is neither true nor false");
    return told->get<bool>() ? InlineWaiting::asynchronous : InlineWaiting::blocks;
  }
  const std::string name = text_at(params, {"clientInfo", "name"});
  if (name == lsp_mode) return InlineWaiting::blocks;
  const bool announced =
      find_path(params, {"capabilities", "textDocument", "inlineCompletion"}) != nullptr;
  return announced || client.has(extension::feature_inline_completion) ||
                 asks_asynchronously(params, name)
             ? InlineWaiting::asynchronous
             : InlineWaiting::unknown;
}

bool adds_line_endings(const Json& params) {
  return text_at(params, {"clientInfo", "name"}) == "Neovim";
}

// Neovim empties a file that is there, whatever CreateFile says.
bool creates_files(const Json& params) {
  return contains(find_path(params,
                            {"capabilities", "workspace", "workspaceEdit", "resourceOperations"}),
                  Json("create")) &&
         text_at(params, {"clientInfo", "name"}) != "Neovim";
}

// Tells one running editor from another, as long as it runs.
std::string editor_of(const Json& params) {
  const Json* process = find(params, "processId");
  if (process == nullptr || !process->is_number_integer()) return {};
  return text_at(params, {"clientInfo", "name"}) + " " + process->dump();
}

std::vector<std::string> read_folders(const Json& params) {
  std::vector<std::string> uris;
  const Json* folders = find(params, "workspaceFolders");
  if (folders != nullptr && folders->is_array()) {
    for (const Json& folder : *folders) uris.push_back(text_at(folder, {"uri"}));
  } else {
    uris.push_back(text_at(params, {"rootUri"}));
  }
  std::erase(uris, "");
  return uris;
}

void read_extension(const Json& params, Client& client) {
  const Json* wish = find_path(params, {"initializationOptions", "hearth"});
  if (wish == nullptr) return;
  const std::int64_t protocol = integer_member(*wish, "protocol");
  if (protocol < 1) throw InvalidParams("\"protocol\" of \"hearth\" is less than 1");
  if (protocol < extension::oldest_protocol_version) {
    client.refused_protocol = protocol;
    return;
  }
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
  client.adds_line_endings = adds_line_endings(params);
  client.work_done_progress = flag(capabilities, {"window", "workDoneProgress"});
  client.asks_person = find_path(capabilities, {"window", "showMessage"}) != nullptr;
  client.show_document = flag(capabilities, {"window", "showDocument", "support"});
  client.text_document_content =
      find_path(capabilities, {"workspace", "textDocumentContent"}) != nullptr;
  const Json* action = find_path(capabilities, {"textDocument", "codeAction"});
  if (action != nullptr) {
    client.code_action_literals = find(*action, "codeActionLiteralSupport") != nullptr;
    client.disabled_actions = flag(*action, {"disabledSupport"});
    client.action_tags = contains(find_path(*action, {"tagSupport", "valueSet"}),
                                  Json(code_action_tag::llm_generated));
  }
  client.apply_edit = flag(capabilities, {"workspace", "applyEdit"});
  client.document_changes = flag(capabilities, {"workspace", "workspaceEdit", "documentChanges"});
  client.change_annotations =
      client.document_changes &&
      find_path(capabilities, {"workspace", "workspaceEdit", "changeAnnotationSupport"}) != nullptr;
  client.creates_files = client.document_changes && creates_files(params);
  client.edit_metadata = flag(capabilities, {"workspace", "workspaceEdit", "metadataSupport"});
  client.folders = read_folders(params);
  client.editor = editor_of(params);
  if (const Json* settings = find_path(params, {"initializationOptions", "settings"}))
    client.settings = *settings;
  client.workspace_folders = flag(capabilities, {"workspace", "workspaceFolders"});
  client.registers_watchers =
      flag(capabilities, {"workspace", "didChangeWatchedFiles", "dynamicRegistration"});
  read_extension(params, client);
  client.inline_waiting = read_inline_waiting(params, client);
  return client;
}

void change_folders(const Json& params, std::vector<std::string>& folders) {
  const Json& event = member(params, "event");
  for (const Json& removed : array_member(event, "removed")) {
    std::erase(folders, string_member(removed, "uri"));
  }
  for (const Json& added : array_member(event, "added")) {
    std::string uri = string_member(added, "uri");
    if (std::ranges::find(folders, uri) == folders.end()) folders.push_back(std::move(uri));
  }
}

Json initialize_result(const Client& client, std::string_view version, const Json& commands,
                       const Json& kinds) {
  Json capabilities{
      {"positionEncoding", enum_name(encodings, client.encoding)},
      {"textDocumentSync",
       {{"openClose", true}, {"change", text_document_sync::incremental}, {"save", true}}},
      {"codeActionProvider", {{"codeActionKinds", kinds}, {"resolveProvider", false}}},
      {"executeCommandProvider", {{"commands", commands}}},
      // Static: Neovim 0.12 takes no dynamic registration. `true`, because some clients read {} as
      // nothing.
      {"inlineCompletionProvider", true}};
  if (client.text_document_content) {
    capabilities["workspace"]["textDocumentContent"] = {{"schemes", Json::array({"hearth"})}};
  }
  if (client.workspace_folders) {
    capabilities["workspace"]["workspaceFolders"] = {{"supported", true},
                                                     {"changeNotifications", true}};
  }
  if (client.protocol > 0) {
    capabilities["experimental"] = {
        {"hearth", {{"protocol", client.protocol}, {"features", client.features}}}};
  }
  return {{"capabilities", std::move(capabilities)},
          {"serverInfo", {{"name", "hearth"}, {"version", version}}}};
}

}  // namespace hearth::lsp
