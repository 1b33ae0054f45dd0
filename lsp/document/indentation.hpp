// What encloses a place as far as indentation tells: for text without a tree, and for the broken
// parts of one. And the measures of indentation itself.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "lsp/document/syntax.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// `range` without the white space at its ends. An empty one is moved onto the nearest character of
// its line and covers it; on a blank line it stays empty.
ByteRange on_text(const Text& text, ByteRange range);

// The blanks and tabs that a line begins with.
std::string_view indentation(std::string_view line);
// Their width; a tab is taken for four columns.
std::size_t indentation_width(std::string_view line);
// Whether two lines stand equally far to the right, whichever of blanks and tabs they use.
bool same_indentation(std::string_view one, std::string_view other);
// By how much the lines of `text` near its end are indented against one another: "\t" or so many
// blanks; four where that cannot be seen.
std::string indentation_step(std::string_view text);

// The innermost block around `range` whose first line looks like the head of a function.
std::optional<Declaration> enclosing_by_indentation(const Text& text, ByteRange range);

}  // namespace hearth::lsp
