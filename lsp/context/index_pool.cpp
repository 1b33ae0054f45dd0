// Who shares an index with whom.
#include "lsp/context/index_pool.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace hearth::lsp {

IndexPool::IndexPool(Host& host, ParseGuard* guard, IndexLimits limits)
    : host_(host),
      syntax_(std::make_shared<const Syntax>(Syntax::usual_timeout, guard)),
      limits_(limits) {}

std::unique_ptr<IndexPool::Shared> IndexPool::make() {
  // The indexer asks later, when it is in its place.
  const auto self = std::make_shared<Shared*>(nullptr);
  Indexer::Asks asks;
  asks.somebody_waits = [self] {
    return std::ranges::any_of((*self)->shares,
                               [](const Share* share) { return share->asks_.somebody_waits(); });
  };
  asks.open_document = [self](const std::string& uri) -> SnapshotPtr {
    for (const Share* share : (*self)->shares) {
      if (SnapshotPtr document = share->asks_.open_document(uri)) return document;
    }
    return nullptr;
  };
  asks.syntax_of = [self](const std::string& uri) -> std::shared_ptr<const Syntax> {
    for (const Share* share : (*self)->shares) {
      if (share->asks_.open_document(uri)) return share->syntax_;
    }
    return nullptr;
  };
  std::unique_ptr<Shared> made(new Shared{Indexer(host_, syntax_, std::move(asks), limits_), {}});
  *self = made.get();
  return made;
}

IndexPool::Shared& IndexPool::of(const Folders& folders) {
  std::unique_ptr<Shared>& shared = indexes_[folders];
  if (!shared) {
    shared = make();
    if (!folders.empty()) shared->indexer.set_folders({folders.begin(), folders.end()});
  }
  return *shared;
}

IndexPool::Share::Share(IndexPool& pool, std::shared_ptr<const Syntax> syntax, Indexer::Asks asks)
    : pool_(pool), syntax_(std::move(syntax)), asks_(std::move(asks)) {
  join({});
}

IndexPool::Share::~Share() {
  try {
    leave();
  } catch (const std::exception&) {
    // No memory to have a document read again: it is when it changes next.
  }
}

void IndexPool::Share::join(const Folders& folders) {
  folders_ = folders;
  shared_ = &pool_.of(folders);
  shared_->shares.push_back(this);
  for (const std::string& uri : open_) shared_->indexer.changed(uri);
}

void IndexPool::Share::leave() {
  std::erase(shared_->shares, this);
  if (shared_->shares.empty()) {
    pool_.indexes_.erase(folders_);
  } else {
    for (const std::string& uri : open_) shared_->indexer.changed(uri);
  }
}

void IndexPool::Share::set_folders(const std::vector<std::string>& uris) {
  const Folders folders(uris.begin(), uris.end());
  if (folders == folders_) return;
  if (shared_->shares.size() > 1 || pool_.indexes_.contains(folders)) {
    leave();
    return join(folders);
  }
  auto alone = pool_.indexes_.extract(folders_);
  alone.key() = folders_ = folders;
  pool_.indexes_.insert(std::move(alone));
  shared_->indexer.set_folders(uris);
}

void IndexPool::Share::changed(const std::string& uri) {
  if (asks_.open_document(uri)) {
    open_.insert(uri);
  } else {
    open_.erase(uri);
  }
  std::erase(shared_->shares, this);
  shared_->shares.insert(shared_->shares.begin(), this);
  shared_->indexer.changed(uri);
}

}  // namespace hearth::lsp
