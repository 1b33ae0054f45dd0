// Three-way merge by lines: what a target was, what the answer makes of it, and what has become of
// the document meanwhile.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lsp/edits/edit.hpp"
#include "lsp/edits/fit.hpp"
#include "lsp/edits/refusal.hpp"
#include "lsp/edits/target_lines.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// Text edits of `now`, one for each run of lines that changes. `offset` is where the target's
// surroundings began in the document that they were taken from. `edits` are in order and do not
// overlap. Refused: the place is not found or found twice; lines that the answer changes, or lines
// right beside them, have changed meanwhile (unless to the same); nothing changes.
Checked<std::vector<TextEdit>> merge(const TargetLines& base, Byte offset,
                                     std::span<const LinesEdit> edits, const Text& now);

}  // namespace hearth::lsp
