// What code uses of other files, and how likely each find is the one that is meant. Names only: no
// types are resolved; imports, containers and folders tell candidates of one name apart.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lsp/context/index.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

struct Related {
  WorkspaceIndex::Found found;
  std::string why;   // "is called", "is used as a type"
  double value = 0;  // greater: more worth showing
};

// For the code in `range`, the most valuable first; nothing of `own_path`, nothing twice.
std::vector<Related> related(const SyntaxTree& tree, ByteRange range, const WorkspaceIndex& index,
                             const std::string& own_path);

}  // namespace hearth::lsp
