// Keeps the WorkspaceIndex of some folders up to date: reads the files of its folders in idle time,
// a few at a time, and again what changes. Never what git ignores, what is_secret()
// names, what is no text, and what is outside of the folders once links are followed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lsp/context/index.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/lifetime.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// All methods on the Host's thread, which it never blocks. One piece of work is under way at a
// time.
class Indexer {
 public:
  // While somebody waits for the machine, folders are not read on; this is how soon it asks again.
  static constexpr std::chrono::milliseconds retry_interval{500};
  // What changed is read this much later, together with all that changes until then.
  static constexpr std::chrono::milliseconds debounce{1000};

  struct Asks {
    std::function<bool()> somebody_waits;
    std::function<SnapshotPtr(const std::string& uri)> open_document;  // null: it is not open
    // Who knows an open document's tree; null, or none: `syntax` parses it as it does files.
    std::function<std::shared_ptr<const Syntax>(const std::string& uri)> syntax_of = {};
  };
  // The host outlives it.
  Indexer(Host& host, std::shared_ptr<const Syntax> syntax, Asks asks, IndexLimits limits = {});
  Indexer(const Indexer&) = delete;
  Indexer& operator=(const Indexer&) = delete;

  // URIs of the workspace's folders; what is in none of them leaves the index.
  void set_folders(std::vector<std::string> uris);
  // A document was opened, changed or closed, or a file changed on the disk, came or went.
  void changed(const std::string& uri);

  std::shared_ptr<const WorkspaceIndex> index() const;

  // Patterns of the files that matter, as workspace/didChangeWatchedFiles takes them.
  static std::vector<std::string> patterns();

 private:
  struct Work;

  void pump();
  using Lane = void (Host::*)(std::function<void()> work, std::function<void()> then);
  void run(Lane how, std::function<void(Work&)> slice);
  void reread();

  Host& host_;
  Asks asks_;
  std::shared_ptr<Work> work_;  // belongs to the background while busy_
  bool busy_ = false;
  bool asleep_ = false;  // a timer will pump
  bool folders_changed_ = false;
  bool settled_ = false;  // what changed may be read
  std::vector<std::string> folders_;
  std::set<std::string> changed_;
  std::set<std::string> documents_;  // that were open when somebody last looked
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
