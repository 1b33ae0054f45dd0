// One editor's session from `initialize` on: the client, its documents and folders. Features see it
// as a Session, which cannot change them.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lsp/context/index_pool.hpp"
#include "lsp/context/recent_edits.hpp"
#include "lsp/document/documents.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/protocol/client.hpp"
#include "lsp/protocol/settings.hpp"

namespace hearth::lsp {

struct EditorSession {
  // All but the client outlive it.
  EditorSession(Host& host, Model& model, Jobs& jobs, Rpc& rpc, const ServerOptions& options,
                Client initialized)
      : client(std::move(initialized)),
        documents(client.encoding),
        folders(client.folders),
        syntax(std::make_shared<Syntax>(Syntax::usual_timeout, options.parse_guard)),
        own_indexes(options.indexes == nullptr
                        ? std::make_unique<IndexPool>(host, options.parse_guard)
                        : nullptr),
        indexer(own_indexes ? *own_indexes : *options.indexes, syntax,
                {[this] { return somebody_waits(); },
                 [this](const std::string& uri) { return documents.find(uri); }}),
        shown{host,   model,           jobs,        rpc, options, client, documents, folders,
              syntax, indexer.index(), recent_edits} {
    shown.settings = changed_settings(options.settings, client.settings);
  }
  EditorSession(const EditorSession&) = delete;  // `shown` refers to its members
  EditorSession& operator=(const EditorSession&) = delete;

  void change_folders(std::vector<std::string> uris) {
    folders = std::move(uris);
    indexer.set_folders(folders);
    shown.index = indexer.index();
  }
  // For an answer, or for what is under way while they type.
  bool somebody_waits() const {
    constexpr std::chrono::seconds pause{2};
    return shown.jobs.is_any_running() || shown.host.now() - last_typed < pause;
  }

  const Client client;
  Documents documents;
  std::vector<std::string> folders;  // URIs of the workspace's
  const std::shared_ptr<Syntax> syntax;
  std::chrono::steady_clock::time_point last_typed;  // in any document
  const std::unique_ptr<IndexPool> own_indexes;      // null: the process has some
  IndexPool::Share indexer;
  RecentEdits recent_edits;
  Session shown;  // to the features
};

}  // namespace hearth::lsp
