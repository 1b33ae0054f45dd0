// Lines that a model wrote, as the document would have them: indented as the code around them, with
// the document's tabs or blanks, and byte for byte what the document has where they are equal.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/code_lines.hpp"
#include "lsp/edits/refusal.hpp"
#include "lsp/edits/target_lines.hpp"

namespace hearth::lsp {

// New text for lines [begin, end) of a target's `lines`.
struct LinesEdit {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::vector<std::string> lines;
};

// Indentation of `lines` with the tabs or blanks that most of the target's text uses, if theirs is
// of the other kind. Several readings, as a tab may be two, four or eight blanks, the likeliest
// first; never empty.
std::vector<std::vector<std::string>> in_style_of(const TargetLines& target,
                                                  std::span<const std::string_view> lines);

// All of the target's lines, rewritten by `answer`, which may be indented as the code was shown, as
// it is in the document, or by something of its own.
Checked<LinesEdit> fit_whole(const TargetLines& target, std::span<const std::string_view> answer);

// `answer`, indented as `shown`, in the place of its lines [begin, end).
LinesEdit fit_lines(const TargetLines& target, const ShownLines& shown, std::size_t begin,
                    std::size_t end, std::span<const std::string_view> answer);

}  // namespace hearth::lsp
