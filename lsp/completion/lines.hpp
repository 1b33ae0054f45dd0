// A completion's lines among the document's: whether it begins a new one, how its first one is
// indented, which of them follow the cursor already. Pure functions on text with "\n" or any other
// line ending; used by text.cpp.
#pragma once

#include <string>
#include <string_view>

#include "lsp/completion/text.hpp"

namespace hearth::lsp {

// The line that the cursor is on, up to the cursor, and from there on.
std::string_view line_before(std::string_view before);
std::string_view line_after(std::string_view after);

// `text`, made by a model at a place behind which its line is empty or only closes brackets. On a
// blank line: not indented further than the line may be. At the end of a line that is finished:
// with a line break before what is a line of its own.
std::string on_its_line(std::string_view text, const CompletionPlace& place);

// Whether `text` would split the line that it is put into: a statement in the middle of another, or
// two words grown into one.
bool splits_line(std::string_view text, const CompletionPlace& place);

// `text` up to the line from which on it repeats the lines that follow; empty where that is its
// first one. Blank lines, blanks at lines' ends and the kind of the indentation make no difference.
std::string_view without_following_lines(std::string_view text, const CompletionPlace& place);

}  // namespace hearth::lsp
