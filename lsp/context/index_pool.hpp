// The indexes of all workspaces that sessions have open. Sessions with the same folders share one:
// it is read once, and what one of them has open is newer than the disk for all of them. Sessions
// with other folders have another one, and see nothing of it.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lsp/context/index.hpp"
#include "lsp/context/indexer.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// All of it is for the Host's thread.
class IndexPool {
 public:
  class Share;

  // Both outlive it, and it outlives its shares. `guard` may be null.
  explicit IndexPool(Host& host, ParseGuard* guard = nullptr, IndexLimits limits = {});
  IndexPool(const IndexPool&) = delete;
  IndexPool& operator=(const IndexPool&) = delete;

  std::size_t indexes() const { return indexes_.size(); }

 private:
  using Folders = std::set<std::string>;  // URIs
  struct Shared {
    Indexer indexer;
    std::vector<const Share*> shares;  // first the one that spoke last
  };
  std::unique_ptr<Shared> make();
  Shared& of(const Folders& folders);

  Host& host_;
  const std::shared_ptr<const Syntax> syntax_;
  const IndexLimits limits_;
  std::map<Folders, std::unique_ptr<Shared>> indexes_;
};

// What a session has of the index of its folders.
class IndexPool::Share {
 public:
  // `syntax` knows the open documents' trees.
  Share(IndexPool& pool, std::shared_ptr<const Syntax> syntax, Indexer::Asks asks);
  ~Share();  // what it alone had open counts as the disk has it
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  // As an Indexer's. Of other folders it is another index, unless nobody else had this one.
  void set_folders(const std::vector<std::string>& uris);
  void changed(const std::string& uri);
  std::shared_ptr<const WorkspaceIndex> index() const { return shared_->indexer.index(); }

 private:
  friend class IndexPool;
  void join(const Folders& folders);
  void leave();

  IndexPool& pool_;
  const std::shared_ptr<const Syntax> syntax_;
  const Indexer::Asks asks_;
  Folders folders_;
  std::set<std::string> open_;  // documents that it told of
  Shared* shared_ = nullptr;
};

}  // namespace hearth::lsp
