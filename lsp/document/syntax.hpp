// Structure of documents: incremental tree-sitter trees, and what prompts ask of them (enclosing
// declaration, outline, imports) as byte ranges, and what code uses by name. What a language's
// nodes mean is languages.hpp's; what the model sees is context.hpp's.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lsp/document/languages.hpp"
#include "lsp/support/parse_guard.hpp"
#include "lsp/support/text.hpp"

struct TSTree;

namespace hearth::lsp {

// A function, method, class, section: what an action is about.
struct Declaration {
  DeclarationRule::Kind kind = DeclarationRule::Kind::function;
  std::string name;
  ByteRange range;      // all of it, with its decorators, `export`, `template <…>`
  ByteRange signature;  // from the same start to before its body
  int depth = 0;        // 0 at top level, 1 for a member of a type at top level
};

// A name that code calls, or uses as a type.
struct Use {
  UseRule::Kind kind = UseRule::Kind::call;
  std::string name;       // without what qualifies it
  std::string qualifier;  // the name right before it: "np" in np.array(…); may be empty
};

// What an import binds: `from stats import average as mean` binds average as mean.
struct Binding {
  std::string name;
  std::string alias;  // the name itself where there is none
  ByteRange import;   // the whole statement
};

// Where the lines end that one or several nodes have to themselves, blank lines behind them
// included, and the depth of the outermost of those nodes; 1 at top level.
struct NodeEnd {
  Byte end;
  int depth = 0;
};

// The structure of one snapshot. Immutable; share it between threads. Where no tree can be had
// (no grammar, a parse that took too long or ended a process) or the tree is broken around the
// place that is asked about, indentation decides what encloses it.
class SyntaxTree {
 public:
  // Takes ownership of `tree`, which may be null.
  SyntaxTree(SnapshotPtr snapshot, const Language* language, TSTree* tree);
  ~SyntaxTree();
  SyntaxTree(const SyntaxTree&) = delete;
  SyntaxTree& operator=(const SyntaxTree&) = delete;

  const Snapshot& snapshot() const { return *snapshot_; }
  const Language* language() const { return language_; }  // null: plain text
  bool parsed() const { return tree_ != nullptr; }

  // The innermost named declaration around all of `range`.
  std::optional<Declaration> enclosing(ByteRange range) const;
  // The statement at top level around `place`; for a comment, the one right below it.
  std::optional<ByteRange> statement(Byte place) const;
  // In the order of the text: declarations at top level and the members of its types.
  std::vector<Declaration> outline() const;
  // Imports at top level, in order, each without its line's end.
  std::vector<ByteRange> imports() const;
  // What the code in `range` uses, each once, in the order of the text; not the names of what it
  // declares. At most max_uses.
  static constexpr std::size_t max_uses = 512;
  std::vector<Use> uses(ByteRange range) const;
  // What the imports and aliases at top level bind, in order.
  std::vector<Binding> bindings() const;
  // Where the node ends that a text inserted at `inserted` (which this tree has in it) belongs to:
  // the statement that begins before it on its line; else the innermost node around it that begins
  // on an earlier line; else, at top level, the first statement of several lines or the last one
  // before a blank line. Nothing where the tree is broken there.
  std::optional<Byte> end_around(ByteRange inserted) const;
  // Of the nodes that end in `within`, in the order of the text. Empty without a tree.
  std::vector<NodeEnd> node_ends(ByteRange within) const;
  // Whether `place` is in a comment, or at the end of one that ends with its line.
  bool in_comment(Byte place) const;
  // Places where the text is not what its grammar expects.
  std::size_t errors() const { return error_places().size(); }
  std::vector<Byte> error_places() const;  // where each begins, in order
  // The tree as an S-expression with the byte range of each node; for tests and logs.
  std::string dump() const;

 private:
  friend class Syntax;
  SnapshotPtr snapshot_;
  const Language* language_;
  TSTree* tree_;
};
using SyntaxTreePtr = std::shared_ptr<const SyntaxTree>;

// The trees of all open documents. Thread-safe.
//
// open, change and close only take note (microseconds): call them where documents change, in that
// order. tree() does the parsing, on its caller's thread, so call it off the server's thread.
class Syntax {
 public:
  static constexpr std::chrono::milliseconds usual_timeout{300};

  // A parse that computes for longer is given up; its snapshot is plain text then. `guard`, if
  // there is one, outlives the trees' users.
  explicit Syntax(std::chrono::milliseconds parse_timeout = usual_timeout,
                  ParseGuard* guard = nullptr);
  ~Syntax();

  void open(const SnapshotPtr& snapshot);
  // Edits that do not lead from `before` to `after` cost the tree, nothing else.
  void change(const SnapshotPtr& before, const SnapshotPtr& after, std::span<const ByteEdit> edits);
  void close(const std::string& uri);

  // Never null. The newest snapshot of an open document is parsed incrementally and remembered;
  // any other one is parsed whole.
  SyntaxTreePtr tree(const SnapshotPtr& snapshot) const;
  // The errors that the text of `tree` has with `inserted` at `place`; nothing where no tree can be
  // had. Parses as tree() does.
  std::optional<std::size_t> errors_with(const SyntaxTree& tree, Byte place,
                                         std::string_view inserted) const;
  // The tree of that text; null where none can be had.
  SyntaxTreePtr tree_with(const SyntaxTree& tree, Byte place, std::string_view inserted) const;

 private:
  struct Entry;
  std::chrono::milliseconds timeout_;
  ParseGuard* guard_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, Entry> entries_;
};

}  // namespace hearth::lsp
