// Edits as a WorkspaceEdit, in the forms that clients take.
#include "lsp/actions/edits.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <variant>

#include "lsp/actions/unopened.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

constexpr const char* annotation = "hearth";
constexpr const char* creation = "hearth-new-file";

// Why it cannot be sent; empty: it can.
std::string refusal(const Session& session, const FileEdit& edit) {
  const SnapshotPtr now = session.documents.last_known(edit.uri);
  const std::string file = display_path(edit.uri, session.folders);
  if (is_off_limits(edit.uri, session.folders))
    return file + " is a file that hearth never changes";
  if (edit.creates) return now ? file + " was opened meanwhile" : "";
  if (edit.version == unopened_version) return now ? file + " was opened meanwhile" : "";
  if (!session.documents.find(edit.uri)) return file + " is not open any more";
  if (now->version != edit.version) return file + " has changed since";
  return {};
}

Json text_edits(const Session& session, const FileEdit& edit, const Text& text) {
  Json edits = Json::array();
  for (const TextEdit& each : edit.edits) {
    edits.push_back(
        {{"range", text.range(each.range, session.documents.encoding())}, {"newText", each.text}});
    if (session.client.change_annotations) edits.back()["annotationId"] = annotation;
  }
  return edits;
}

// An editor that finds the file there does nothing more of the edit.
void add_creation(const Session& session, const FileEdit& edit, Json& changes) {
  changes.push_back({{"kind", "create"},
                     {"uri", edit.uri},
                     {"options", {{"overwrite", false}, {"ignoreIfExists", false}}}});
  if (session.client.change_annotations) changes.back()["annotationId"] = creation;
  if (edit.edits.front().text.empty()) return;
  Json text = text_edits(session, edit, Text(std::string()));
  if (session.client.change_annotations) text.front()["annotationId"] = creation;
  changes.push_back(
      {{"textDocument", {{"uri", edit.uri}, {"version", nullptr}}}, {"edits", std::move(text)}});
}

Json workspace_edit(const Session& session, const std::string& title,
                    const std::vector<FileEdit>& edits, const FindSnapshot& find) {
  Json result{{"documentChanges", Json::array()}};
  bool creates = false;
  for (const FileEdit& edit : edits) {
    creates = creates || edit.creates;
    if (edit.creates) {
      add_creation(session, edit, result["documentChanges"]);
      continue;
    }
    const Json version = edit.version == unopened_version ? Json() : Json(edit.version);
    result["documentChanges"].push_back(
        {{"textDocument", {{"uri", edit.uri}, {"version", version}}},
         {"edits", text_edits(session, edit, *find(edit.uri)->text)}});
  }
  if (session.client.change_annotations) {
    result["changeAnnotations"] = {{annotation, {{"label", title}, {"needsConfirmation", true}}}};
  }
  if (creates && session.client.change_annotations) {
    result["changeAnnotations"][creation] = {{"label", "New file"},
                                             {"needsConfirmation", true},
                                             {"description", "proposed by " + title}};
  }
  return result;
}

}  // namespace

bool takes_edits(const Client& client) {
  return client.apply_edit && client.document_changes;
}

void apply_edits(Session& session, const std::string& title, const std::vector<FileEdit>& edits,
                 const FindSnapshot& find, std::function<void(const std::string& failure)> done) {
  if (!takes_edits(session.client))
    return done("the editor takes no edits for a certain version of a file");
  for (const FileEdit& edit : edits) {
    if (const std::string reason = refusal(session, edit); !reason.empty()) return done(reason);
  }
  Json params{{"label", title}, {"edit", workspace_edit(session, title, edits, find)}};
  if (session.client.edit_metadata) params["metadata"] = {{"isRefactoring", true}};
  session.rpc.request("workspace/applyEdit", std::move(params),
                      [done = std::move(done)](const std::variant<Json, RpcError>& answer) {
                        const Json* result = std::get_if<Json>(&answer);
                        if (result == nullptr) return done(std::get<RpcError>(answer).message);
                        if (flag(*result, {"applied"})) return done({});
                        const Json* reason = lsp::find(*result, "failureReason");
                        done(reason != nullptr && reason->is_string()
                                 ? reason->get<std::string>()
                                 : "the editor did not apply it");
                      });
}

void check_edits(Session& session, const std::vector<FileEdit>& edits, const FindSnapshot& find,
                 std::function<void(const EditsCheck&)> done) {
  struct Work {
    std::shared_ptr<Syntax> syntax;
    std::vector<std::pair<SnapshotPtr, std::vector<TextEdit>>> files;
    std::vector<FileEdit> edits;
    EditsCheck found;
  };
  const auto work = std::make_shared<Work>();
  work->syntax = session.syntax;
  work->edits = edits;
  for (const FileEdit& edit : edits) {
    SnapshotPtr now = find(edit.uri);
    if (edit.creates) {
      now = std::make_shared<Snapshot>(
          Snapshot{edit.uri, {}, unopened_version, std::make_shared<Text>(std::string())});
    }
    if (now) work->files.emplace_back(std::move(now), edit.edits);
  }
  session.host.background(
      [work, &host = session.host, folders = session.folders] {
        for (const auto& [snapshot, changes] : work->files)
          work->found.complaint += check(*work->syntax, snapshot, changes).complaint;
        for (const FileEdit& edit : work->edits) {
          if (work->found.refusal.empty()) work->found.refusal = edit_refusal(edit, folders, host);
        }
      },
      [work, done = std::move(done)] { done(work->found); });
}

}  // namespace hearth::lsp
