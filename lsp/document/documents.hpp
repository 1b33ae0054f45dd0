// The documents that a client has open. Each version is an immutable snapshot; what is built on
// them (trees, completions) is told of changes by whoever calls change().
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lsp/json.hpp"
#include "lsp/syntax.hpp"
#include "lsp/text.hpp"

namespace hearth::lsp {

class Documents {
 public:
  explicit Documents(Encoding encoding) : encoding_(encoding) {}

  // These take the params of their textDocument/did… notification and throw InvalidParams.
  SnapshotPtr open(const Json& params);

  struct Change {
    SnapshotPtr before;
    SnapshotPtr after;
    std::vector<ByteEdit> edits;  // lead from before to after, one after another
  };
  Change change(const Json& params);
  std::string close(const Json& params);  // the URI

  SnapshotPtr find(const std::string& uri) const;      // null: not open
  SnapshotPtr required(const std::string& uri) const;  // throws InvalidParams
  Encoding encoding() const { return encoding_; }

 private:
  Encoding encoding_;
  std::map<std::string, SnapshotPtr, std::less<>> open_;
};

}  // namespace hearth::lsp
