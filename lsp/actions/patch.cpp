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

// `line` is with its ending, or without.
using AddLine = void (*)(std::string& text, char mark, std::string_view line);

void add_shown(std::string& text, char mark, std::string_view line) {
  text += mark;
  text.append(line).append("\n");
}

void add_exact(std::string& text, char mark, std::string_view line) {
  text += mark;
  text.append(line);
  if (!line.ends_with('\n')) text += "\n\\ No newline at end of file\n";
}

// Each with its ending, which is "\n": what is before that, a "\r" too, is the line's.
CodeLines exact_lines(std::string_view text) {
  CodeLines lines;
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return lines;
}

// The changes [first, last), which lie near each other.
void add_hunk(std::span<const LineChange> changes, const CodeLines& before, const CodeLines& after,
              AddLine add, std::string& text) {
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

std::string diff_hunks(const CodeLines& old_lines, const CodeLines& new_lines, AddLine add) {
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
    add_hunk(all.subspan(first, end - first), old_lines, new_lines, add, text);
    first = end;
  }
  return text;
}

// A name as a patch's head has it: in quotes, as in C, where it could not be told from the rest.
std::string head_name(char side, std::string_view path) {
  std::string name = fmt::format("{}/{}", side, path);
  const auto is_plain = [](unsigned char c) {
    return c >= 0x20 && c != 0x7F && c != '"' && c != '\\';
  };
  if (std::ranges::all_of(name, is_plain)) return name;
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') {
      quoted.append({'\\', c});
    } else if (is_plain(static_cast<unsigned char>(c))) {
      quoted += c;
    } else {
      quoted += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
  }
  return quoted + '"';
}

// A tab behind it says where a name with blanks ends.
std::string named_line(std::string_view mark, const std::string& name) {
  return fmt::format("{} {}{}\n", mark, name, name.find(' ') == name.npos ? "" : "\t");
}

}  // namespace

std::string unified_hunks(std::string_view before, std::string_view after) {
  return diff_hunks(code_lines(before), code_lines(after), add_shown);
}

std::string file_patch(std::string_view path, const std::optional<std::string>& before,
                       std::string_view after) {
  if (before == after) return {};
  const std::string old_name = head_name('a', path);
  const std::string new_name = head_name('b', path);
  std::string text = fmt::format("diff --git {} {}\n", old_name, new_name);
  if (!before) text += "new file mode 100644\n";
  const std::string changes =
      diff_hunks(exact_lines(before.value_or("")), exact_lines(after), add_exact);
  if (changes.empty()) return text;  // a new file without a line
  text += before ? named_line("---", old_name) : "--- /dev/null\n";
  return text + named_line("+++", new_name) + changes;
}

std::string diff_markdown(const Session& session, const std::vector<FileEdit>& edits,
                          const FindSnapshot& find) {
  std::string text;
  for (const FileEdit& file : edits) {
    const std::string path = display_path(file.uri, session.folders);
    if (file.creates) {
      text += fmt::format("diff --git a/{0} b/{0}\nnew file mode 100644\n", path);
      const std::string hunks = unified_hunks({}, file.edits.front().text);
      if (!hunks.empty()) text += fmt::format("--- /dev/null\n+++ b/{}\n", path) + hunks;
      continue;
    }
    const SnapshotPtr now = find(file.uri);
    if (!now) continue;
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
