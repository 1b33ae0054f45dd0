// Which jobs are a session's.
#include "lsp/jobs/session.hpp"

#include <algorithm>

namespace hearth::lsp {
namespace {

bool is_below(const std::string& uri, const std::string& folder) {
  return uri.starts_with(folder.ends_with('/') ? folder : folder + "/");
}

}  // namespace

// The innermost of its folders.
Origin origin_of(const Session& session, const std::string& uri) {
  Origin origin{uri, session.client.editor};
  std::size_t longest = 0;
  for (const std::string& folder : session.folders) {
    if (folder.size() <= longest || !is_below(uri, folder)) continue;
    longest = folder.size();
    origin.workspace = folder;
  }
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
