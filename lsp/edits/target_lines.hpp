// A target's lines among those around it, and in the form in which a model was shown them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/code_lines.hpp"
#include "lsp/edits/target.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// The target with what is before and after it. Its views are of its own text.
struct TargetLines {
  explicit TargetLines(const Target& target);
  TargetLines(const TargetLines&) = delete;
  TargetLines& operator=(const TargetLines&) = delete;

  const Text text;
  // Of the text, whole. What follows the last line ending counts only if it is in the range or not
  // empty, as the document may go on there.
  CodeLines all;
  std::size_t first = 0;  // the range is in lines [first, end) of `all`
  std::size_t end = 0;
  // What the first and last line have outside of the range. Blanks before the range count as the
  // line's own indentation: then `before` is empty.
  std::string_view before;
  std::string_view after;
  CodeLines lines;                // of the range, without `before` and `after`
  bool whole_first_line = false;  // the range begins where its line does, before any blanks
};

// The lines as they may have been shown: without the indentation of what is around them, which some
// lines may lack (strings over several lines, a preprocessor's lines).
struct ShownLines {
  ShownLines(const TargetLines& target, std::string_view outer_indentation);

  std::string_view outer;
  CodeLines lines;
  std::vector<bool> dedented;  // whether the line began with `outer`
  bool any_undented = false;   // any line that is not blank
};
// The indentations that may have been taken away, the likelier first: that of the first line, and
// what all lines share.
std::vector<std::string_view> outer_indentations(const TargetLines& target);

}  // namespace hearth::lsp
