// The declarations of a workspace by name: what other files declare that code calls or has as
// types. Which files are in it, and when they are read, is indexer.hpp's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lsp/document/languages.hpp"
#include "lsp/document/syntax.hpp"

namespace hearth::lsp {

struct IndexedDeclaration {
  DeclarationRule::Kind kind = DeclarationRule::Kind::function;
  std::string name;
  std::string container;  // the type that it is a member of; empty: none
  // What a prompt shows: a function's signature on one line; a small type as it is, a larger one's
  // signature and its members'. Without lines that look like secrets, each line with its end.
  std::string shown;
  std::size_t line = 0;  // from 0
};

// What a tree declares, for the index; `shown` is not longer than max_shown bytes.
constexpr std::size_t max_shown = 600;
constexpr std::size_t max_declarations = 1000;  // of one file
std::vector<IndexedDeclaration> declarations_of(const SyntaxTree& tree);

// A name's last part, by which it is looked up: "take" of Shelf::take.
std::string_view base_name(std::string_view name);

// Of reading folders. What is read again because it changed is not limited: each is something that
// a person did.
struct IndexLimits {
  std::size_t files = 20'000;
  std::uint64_t bytes = 256ULL * 1024 * 1024;                 // read in all
  std::chrono::milliseconds time = std::chrono::minutes{10};  // of one core
  std::size_t file_bytes = 1024 * 1024;                       // a larger file is not read
};

struct IndexStatistics {
  enum class Cut : std::uint8_t { none, files, bytes, time };
  std::size_t files = 0;    // that are in the index
  std::uint64_t bytes = 0;  // that were read, those that were read again too
  std::chrono::milliseconds time{0};
  Cut cut = Cut::none;    // which limit left files out
  bool complete = false;  // all folders were read, as far as the limits let
};
std::string_view name(IndexStatistics::Cut cut);

// Thread-safe.
class WorkspaceIndex {
 public:
  // Who said what is in a file: an open document is newer than the disk.
  enum class Source : std::uint8_t { disk, document };

  struct Found {
    IndexedDeclaration declaration;
    std::string path;  // absolute
    const Language* language = nullptr;
  };

  // In place of what the file had. From the disk it does not replace an open document's.
  void update(const std::string& path, const Language* language,
              std::vector<IndexedDeclaration> declarations, Source source);
  // The path of an open document in a folder of the workspace that may be shown beside others.
  void admit(const std::string& uri, std::string path);
  void dismiss(const std::string& uri);
  void dismiss_all();
  std::optional<std::string> admitted(const std::string& uri) const;
  // The document was closed: the disk counts again.
  void release(const std::string& path);
  void remove(const std::string& path);
  // All files that `gone` holds for.
  template <typename Predicate>
  void remove_if(Predicate gone) {
    for (const std::string& path : paths()) {
      if (gone(path)) remove(path);
    }
  }
  bool contains(const std::string& path) const;
  std::size_t files() const;
  std::vector<std::string> paths() const;  // in order

  // Declarations of that name, at most max_found; in the order of their paths.
  static constexpr std::size_t max_found = 64;
  std::vector<Found> find(std::string_view name) const;

  IndexStatistics statistics() const;
  void set_statistics(const IndexStatistics& statistics);

 private:
  struct File {
    const Language* language = nullptr;
    Source source = Source::disk;
    std::vector<IndexedDeclaration> declarations;
  };
  void forget_names(const std::string& path, const File& file);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, File> files_;  // by path
  // The files that declare a name, each once for each time that they do.
  std::unordered_map<std::string, std::vector<const std::string*>> names_;
  std::unordered_map<std::string, std::string> admitted_;  // paths by URI
  IndexStatistics statistics_;
};

}  // namespace hearth::lsp
