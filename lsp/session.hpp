// One editor's session from `initialize` on: the client, its documents and folders. Features see it
// as a Session, which cannot change them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

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
        shown{host, model, jobs, rpc, options, client, documents, folders, syntax} {
    shown.settings = changed_settings(options.settings, client.settings);
  }
  EditorSession(const EditorSession&) = delete;  // `shown` refers to its members
  EditorSession& operator=(const EditorSession&) = delete;

  const Client client;
  Documents documents;
  std::vector<std::string> folders;  // URIs of the workspace's
  const std::shared_ptr<Syntax> syntax;
  Session shown;  // to the features
};

}  // namespace hearth::lsp
