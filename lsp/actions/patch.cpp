// Unified diffs.
#include "lsp/actions/patch.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "lsp/edits/code_lines.hpp"
#include "lsp/edits/diff.hpp"
#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t context_lines = 3;

std::vector<std::uint32_t> numbered(const CodeLines& lines, LineNumbers& numbers) {
  std::vector<std::uint32_t> result;
  result.reserve(lines.size());
  for (const std::string_view line : lines) result.push_back(numbers[line]);
  return result;
}

// "12,3" as a hunk's head has it; of no lines, the one before them.
std::string span(std::size_t begin, std::size_t count) {
  return fmt::format("{},{}", count == 0 ? begin : begin + 1, count);
}

void add(std::string& text, char mark, std::string_view line) {
  text += mark;
  text.append(line).append("\n");
}

// The changes [first, last), which lie near each other.
void add_hunk(std::span<const LineChange> changes, const CodeLines& before, const CodeLines& after,
              std::string& text) {
  const LineChange& first = changes.front();
  const LineChange& last = changes.back();
  const std::size_t ahead = std::min(first.old_begin, context_lines);
  const std::size_t behind = std::min(before.size() - last.old_end, context_lines);
  const std::size_t begin = first.old_begin - ahead;
  const std::size_t new_begin = first.new_begin - ahead;
  text += fmt::format("@@ -{} +{} @@\n", span(begin, last.old_end + behind - begin),
                      span(new_begin, last.new_end + behind - new_begin));
  std::size_t at = begin;
  for (const LineChange& change : changes) {
    while (at < change.old_begin) add(text, ' ', before[at++]);
    while (at < change.old_end) add(text, '-', before[at++]);
    for (std::size_t i = change.new_begin; i < change.new_end; ++i) add(text, '+', after[i]);
  }
  while (at < last.old_end + behind) add(text, ' ', before[at++]);
}

}  // namespace

std::string unified_hunks(std::string_view before, std::string_view after) {
  const CodeLines old_lines = code_lines(before);
  const CodeLines new_lines = code_lines(after);
  LineNumbers numbers;
  const std::vector<LineChange> changes =
      line_changes(numbered(old_lines, numbers), numbered(new_lines, numbers));
  std::string text;
  const std::span<const LineChange> all(changes);
  for (std::size_t first = 0; first < all.size();) {
    std::size_t end = first + 1;
    while (end < all.size() && all[end].old_begin - all[end - 1].old_end <= 2 * context_lines) {
      ++end;
    }
    add_hunk(all.subspan(first, end - first), old_lines, new_lines, text);
    first = end;
  }
  return text;
}

std::string diff_markdown(const Session& session, const std::vector<FileEdit>& edits,
                          const FindSnapshot& find) {
  std::string text;
  for (const FileEdit& file : edits) {
    const SnapshotPtr now = find(file.uri);
    if (!now) continue;
    const std::string path = display_path(file.uri, session.folders);
    const std::string_view before = now->text->str();
    text += fmt::format("--- a/{}\n+++ b/{}\n", path, path) +
            unified_hunks(before, edited(before, file.edits));
  }
  return fenced(text, "diff");
}

std::string fenced(const std::string& text, std::string_view kind) {
  std::string fence = "```";
  while (text.find(fence) != text.npos) fence += '`';
  const char* const end = text.empty() || text.back() == '\n' ? "" : "\n";
  return fmt::format("{}{}\n{}{}{}\n", fence, kind, text, end, fence);
}

}  // namespace hearth::lsp
