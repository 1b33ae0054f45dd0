// The two ways in which code is shown without its surroundings' indentation are those of
// lsp/context/task.cpp.
#include "lsp/edits/target_lines.hpp"

#include <algorithm>

#include "lsp/document/indentation.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {

TargetLines::TargetLines(const Target& target) : text(target.before + target.text + target.after) {
  for (std::size_t i = 0; i < text.lines(); ++i) all.push_back(text.view(text.line_range(i)));
  const std::size_t size = text.str().size();
  const Byte begin{std::clamp(target.before.size(), text.begin().value, size)};
  const Byte range_end{std::clamp(target.before.size() + target.text.size(), begin.value, size)};
  first = text.line_of(begin);
  const std::size_t last = text.line_of(range_end);
  // A range that ends with a line ending has nothing of the next line.
  const bool whole_lines = last > first && range_end == text.line_start(last);
  end = whole_lines ? last : last + 1;
  if (all.size() > end && all.back().empty()) all.pop_back();

  const ByteRange first_line = text.line_range(first);
  const ByteRange last_line = text.line_range(end - 1);
  before = text.view({first_line.begin, std::min(begin, first_line.end)});
  whole_first_line = before.empty();
  if (is_blank(before)) before = {};
  if (!whole_lines) after = text.view({std::min(range_end, last_line.end), last_line.end});
  for (std::size_t i = first; i < end; ++i) {
    std::string_view line = all[i];
    if (i + 1 == end) line.remove_suffix(after.size());
    if (i == first) line.remove_prefix(std::min(before.size(), line.size()));
    lines.push_back(line);
  }
}

ShownLines::ShownLines(const TargetLines& target, std::string_view outer_indentation)
    : outer(outer_indentation) {
  for (std::size_t i = 0; i < target.lines.size(); ++i) {
    std::string_view line = target.lines[i];
    // The middle of a line has no indentation to lose.
    const bool middle = i == 0 && !target.before.empty();
    const bool inner = middle || line.starts_with(outer);
    if (inner && !middle) line.remove_prefix(outer.size());
    dedented.push_back(inner);
    any_undented = any_undented || (!inner && !is_blank(line));
    lines.push_back(is_blank(line) ? std::string_view{} : line);
  }
}

std::vector<std::string_view> outer_indentations(const TargetLines& target) {
  CodeLines whole = target.lines;
  if (!target.before.empty()) whole.front() = target.all[target.first];
  const std::string_view of_first = indentation(whole.front());
  const std::string_view common = common_indentation(whole);
  if (common == of_first) return {common};
  // A declaration begins behind its indentation, other code at a line's beginning.
  if (target.whole_first_line) return {common, of_first};
  return {of_first, common};
}

}  // namespace hearth::lsp
