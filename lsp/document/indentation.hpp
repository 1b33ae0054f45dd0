// What encloses a place as far as indentation tells: for text without a tree, and for the broken
// parts of one.
#pragma once

#include <optional>

#include "lsp/syntax.hpp"
#include "lsp/text.hpp"

namespace hearth::lsp {

// `range` without the white space at its ends. An empty one is moved onto the nearest character of
// its line and covers it; on a blank line it stays empty.
ByteRange on_text(const Text& text, ByteRange range);

// The innermost block around `range` whose first line looks like the head of a function.
std::optional<Declaration> enclosing_by_indentation(const Text& text, ByteRange range);

}  // namespace hearth::lsp
