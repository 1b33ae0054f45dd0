// What the features of one editor's session see of it and of the process around it. The session
// itself is lsp/session.hpp's, which changes what features only look at.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lsp/context/index.hpp"
#include "lsp/context/recent_edits.hpp"
#include "lsp/context/token_counts.hpp"
#include "lsp/document/documents.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/jobs/jobs.hpp"
#include "lsp/protocol/client.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/rpc.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/options.hpp"
#include "lsp/support/settings.hpp"

namespace hearth::lsp {

// Refers to what outlives the features. For the Host's thread.
struct Session {
  Host& host;
  Model& model;
  Jobs& jobs;
  Rpc& rpc;
  const ServerOptions& options;
  const Client& client;
  const Documents& documents;
  const std::vector<std::string>& folders;      // URIs of the workspace's
  const std::shared_ptr<Syntax> syntax;         // work on other threads keeps it alive
  std::shared_ptr<const WorkspaceIndex> index;  // of its folders, which others may have too
  const RecentEdits& recent_edits;
  const std::shared_ptr<TokenCounts> token_counts = std::make_shared<TokenCounts>(model);
  // Of inline completions; may be the same as the ones above.
  Model& completion_model = options.completion_model == nullptr ? model : *options.completion_model;
  const std::shared_ptr<TokenCounts> completion_counts =
      &completion_model == &model ? token_counts : std::make_shared<TokenCounts>(completion_model);
  ModelState model_state = ModelState::loading;
  Settings settings = {};
  std::vector<std::string> pinned = {};  // URIs of files that the model is always shown
  // Until then no completion comes unasked.
  std::chrono::steady_clock::time_point snoozed_until = {};

  // Tells it apart from all others that there are now.
  std::uint64_t number() const { return reinterpret_cast<std::uintptr_t>(this); }
};

// Where a job about a document (empty: about none) of this session is from.
Origin origin_of(const Session& session, const std::string& uri);
// Whether a job is of this session's workspace, or of its editor: of any other it tells nothing.
bool is_of(const Session& session, const Job& job);

}  // namespace hearth::lsp
