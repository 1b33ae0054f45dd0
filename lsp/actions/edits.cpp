// Edits as a WorkspaceEdit, in the forms that clients take.
#include "lsp/actions/edits.hpp"

#include <fmt/format.h>

#include <variant>

#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

constexpr const char* annotation = "hearth";

void tell(Rpc& rpc, const std::string& title, const std::string& reason) {
  rpc.notify("window/showMessage",
             {{"type", message_type::error},
              {"message", fmt::format("{}: nothing was changed: {}", title, reason)}});
}

// Why it cannot be sent; empty: it can.
std::string refusal(const Session& session, const FileEdit& edit) {
  const SnapshotPtr now = session.documents.find(edit.uri);
  const std::string file = display_path(edit.uri, session.folders);
  if (!now) return file + " is not open any more";
  if (now->version != edit.version) return file + " has changed since";
  return {};
}

Json text_edits(const Session& session, const FileEdit& edit) {
  const Text& text = *session.documents.find(edit.uri)->text;
  Json edits = Json::array();
  for (const TextEdit& each : edit.edits) {
    edits.push_back(
        {{"range", text.range(each.range, session.documents.encoding())}, {"newText", each.text}});
    if (session.client.change_annotations) edits.back()["annotationId"] = annotation;
  }
  return edits;
}

Json workspace_edit(const Session& session, const std::string& title,
                    const std::vector<FileEdit>& edits) {
  Json result = Json::object();
  for (const FileEdit& edit : edits) {
    if (session.client.document_changes) {
      result["documentChanges"].push_back(
          {{"textDocument", {{"uri", edit.uri}, {"version", edit.version}}},
           {"edits", text_edits(session, edit)}});
    } else {
      result["changes"][edit.uri] = text_edits(session, edit);
    }
  }
  if (session.client.change_annotations) {
    result["changeAnnotations"] = {{annotation, {{"label", title}, {"needsConfirmation", true}}}};
  }
  return result;
}

}  // namespace

void apply_edits(Session& session, const std::string& title, const std::vector<FileEdit>& edits) {
  if (edits.empty()) return;
  if (!session.client.apply_edit) return tell(session.rpc, title, "the editor takes no edits");
  for (const FileEdit& edit : edits) {
    if (const std::string reason = refusal(session, edit); !reason.empty()) {
      return tell(session.rpc, title, reason);
    }
  }
  session.rpc.request(
      "workspace/applyEdit", {{"label", title}, {"edit", workspace_edit(session, title, edits)}},
      [&rpc = session.rpc, title](const std::variant<Json, RpcError>& answer) {
        const Json* result = std::get_if<Json>(&answer);
        if (result != nullptr && flag(*result, {"applied"})) return;
        const Json* reason = result != nullptr ? find(*result, "failureReason") : nullptr;
        tell(rpc, title,
             result == nullptr                          ? std::get<RpcError>(answer).message
             : reason != nullptr && reason->is_string() ? reason->get<std::string>()
                                                        : "the editor did not apply it");
      });
}

}  // namespace hearth::lsp
