// Which jobs are a session's.
#include "lsp/jobs/session.hpp"

#include <algorithm>
#include <utility>

#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
Origin origin_of(const Session& session, const std::string& uri) {
  Origin origin{uri, session.client.editor};
  if (std::string folder = folder_of(uri, session.folders); !folder.empty())
    origin.workspace = std::move(folder);
  if (uri.empty() && !session.folders.empty()) origin.workspace = session.folders.front();
  return origin;
}

bool is_of(const Session& session, const Job& job) {
  const std::string& workspace = job.origin.workspace;
  const std::string& editor = job.origin.editor;
  return (!editor.empty() && editor == session.client.editor) ||
         std::ranges::find(session.folders, workspace) != session.folders.end() ||
         session.documents.last_known(workspace) != nullptr;
}

}  // namespace hearth::lsp
