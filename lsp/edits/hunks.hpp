// Search/replace hunks of an answer, found in the code that they are about.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lsp/edits/answer.hpp"
#include "lsp/edits/fit.hpp"
#include "lsp/edits/refusal.hpp"
#include "lsp/edits/target_lines.hpp"

namespace hearth::lsp {

// Where hunks belong that name no file, or a target's.
struct HunkTarget {
  const TargetLines* lines = nullptr;
  std::string_view path;  // of its document, with '/'
};

// The targets that a model's path may mean: those whose path ends with it.
std::vector<std::size_t> targets_named(std::string_view path, std::span<const HunkTarget> targets);

// For each target what the hunks make of it, in the order of its lines. Each hunk's SEARCH lines
// must be in the code exactly once: as they are, else but for blanks at lines' ends, else but for
// an indentation that they have in common.
Checked<std::vector<std::vector<LinesEdit>>> place_hunks(std::span<const AnswerHunk> hunks,
                                                         std::span<const HunkTarget> targets);

}  // namespace hearth::lsp
