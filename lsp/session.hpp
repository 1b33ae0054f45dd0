// What the features of one editor's session share.
#pragma once

#include <memory>

#include "lsp/client.hpp"
#include "lsp/documents.hpp"
#include "lsp/host.hpp"
#include "lsp/jobs.hpp"
#include "lsp/model.hpp"
#include "lsp/rpc.hpp"
#include "lsp/server.hpp"
#include "lsp/syntax.hpp"

namespace hearth::lsp {

struct Session {
  Host& host;
  Model& model;
  Jobs& jobs;
  Rpc& rpc;
  const ServerOptions& options;
  const Client client;
  Documents documents;
  std::shared_ptr<Syntax> syntax;  // work on other threads keeps it alive
  bool model_ready = false;        // else it is loading, or has failed to
};

}  // namespace hearth::lsp
