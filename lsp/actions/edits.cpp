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

// What is no business of an assistant's: the repository itself, and what an editor runs unasked.
bool is_off_limits(std::string_view uri) {
  constexpr std::array<std::string_view, 6> folders{".git", ".vscode", ".idea",
                                                    ".vs",  ".fleet",  ".hearth"};
  return std::ranges::any_of(folders, [uri](std::string_view folder) {
    return uri.find("/" + std::string(folder) + "/") != uri.npos;
  });
}

// Why it cannot be sent; empty: it can.
std::string refusal(const Session& session, const FileEdit& edit) {
  const SnapshotPtr now = session.documents.last_known(edit.uri);
  const std::string file = display_path(edit.uri, session.folders);
  if (is_off_limits(edit.uri)) return file + " is a file that hearth never changes";
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

Json workspace_edit(const Session& session, const std::string& title,
                    const std::vector<FileEdit>& edits, const FindSnapshot& find) {
  Json result{{"documentChanges", Json::array()}};
  for (const FileEdit& edit : edits) {
    const Json version = edit.version == unopened_version ? Json() : Json(edit.version);
    result["documentChanges"].push_back(
        {{"textDocument", {{"uri", edit.uri}, {"version", version}}},
         {"edits", text_edits(session, edit, *find(edit.uri)->text)}});
  }
  if (session.client.change_annotations) {
    result["changeAnnotations"] = {{annotation, {{"label", title}, {"needsConfirmation", true}}}};
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
                 std::function<void(std::string complaint)> done) {
  struct Work {
    std::shared_ptr<Syntax> syntax;
    std::vector<std::pair<SnapshotPtr, std::vector<TextEdit>>> files;
    std::string complaint;
  };
  const auto work = std::make_shared<Work>();
  work->syntax = session.syntax;
  for (const FileEdit& edit : edits) {
    if (SnapshotPtr now = find(edit.uri)) work->files.emplace_back(std::move(now), edit.edits);
  }
  session.host.background(
      [work] {
        for (const auto& [snapshot, changes] : work->files)
          work->complaint += check(*work->syntax, snapshot, changes).complaint;
      },
      [work, done = std::move(done)] { done(work->complaint); });
}

}  // namespace hearth::lsp
