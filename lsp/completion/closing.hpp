// Where a completion stops: at the end of the node that it belongs to. Told by the tree of the
// document with the completion in it; by the indentation where that is broken or there is none.
#pragma once

#include <string_view>

#include "lsp/document/syntax.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// `text`, with "\n" at its lines' ends, up to the end of the line on which the node closes; where
// more is opened on that line, up to the node's own end. `with` is the tree of the document with
// `text` at `cursor`, or null; `before` is the document up to the cursor.
std::string_view until_closed(std::string_view text, const SyntaxTree* with, Byte cursor,
                              std::string_view before);

}  // namespace hearth::lsp
