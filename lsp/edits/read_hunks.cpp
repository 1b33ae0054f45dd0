// The SEARCH/REPLACE form, with what models make of it: fences around the blocks or inside of them,
// markers that are a little longer or shorter, prose in between.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "lsp/edits/answer.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_hunks = 200;
constexpr std::size_t max_dividers = 8;
constexpr std::size_t usual_length = 7;

// How many of `mark` a marker line begins with, if `words` is what follows; 0: it is no marker.
std::size_t marker(std::string_view line, char mark, std::span<const std::string_view> words) {
  line = trimmed(line);
  const std::size_t length = std::min(line.find_first_not_of(mark), line.size());
  if (length < 5 || length > 9) return 0;
  const std::string_view rest = trimmed(line.substr(length));
  return std::ranges::find(words, rest) != words.end() ? length : 0;
}

bool begins_hunk(std::string_view line) {
  constexpr std::array<std::string_view, 3> words{"SEARCH", "ORIGINAL", "SEARCH:"};
  return marker(line, '<', words) > 0;
}

bool ends_hunk(std::string_view line) {
  constexpr std::array<std::string_view, 3> words{"REPLACE", "UPDATED", "REPLACE:"};
  return marker(line, '>', words) > 0;
}

bool is_fence(std::string_view line) {
  line = trimmed(line);
  return line.starts_with("```") || line.starts_with("~~~");
}

// A line that holds nothing but a path, perhaps marked up as one: `src/a.py`, **a.py**, ### File:
// a.
std::string_view path_in(std::string_view line) {
  constexpr std::string_view decoration = "`*#:'\" \t";
  for (int i = 0; i < 2; ++i) {
    const std::size_t begin = line.find_first_not_of(decoration);
    if (begin == line.npos) return {};
    line = line.substr(begin, line.find_last_not_of(decoration) - begin + 1);
    for (const std::string_view label : {"File:", "file:", "File", "Path:", "path:"}) {
      if (line.starts_with(label) && line.size() > label.size() &&
          decoration.find(line[label.size()]) != decoration.npos) {
        line.remove_prefix(label.size());
        break;
      }
    }
  }
  const std::size_t begin = line.find_first_not_of(decoration);
  if (begin == line.npos) return {};
  line.remove_prefix(begin);
  if (line.find_first_of("<>|\"?*(){}=;,!") != line.npos) return {};
  if (line.find('/') != line.npos) return line;
  // Without a folder: a name with an ending.
  const std::size_t dot = line.rfind('.');
  const bool ending = dot != line.npos && dot + 1 < line.size() &&
                      std::isalpha(static_cast<unsigned char>(line[dot + 1])) != 0 &&
                      std::ranges::all_of(line.substr(dot + 1), is_word_byte);
  return ending ? line : std::string_view{};
}

// The path above the hunk that begins at `at`.
std::string_view path_above(std::span<const std::string_view> lines, std::size_t at,
                            std::size_t previous_end) {
  std::size_t looked_at = 0;
  while (at > previous_end && looked_at < 3) {
    const std::string_view line = lines[--at];
    if (is_blank(line)) continue;
    ++looked_at;
    if (!is_fence(line)) return path_in(line);
    // A fence may carry it: ```python src/a.py
    std::string_view info = trimmed(line);
    info.remove_prefix(std::min(info.find_first_not_of("`~"), info.size()));
    const std::size_t last_word = info.find_last_of(" :");
    if (last_word != info.npos) {
      if (const std::string_view path = path_in(info.substr(last_word + 1)); !path.empty()) {
        return path;
      }
    }
  }
  return {};
}

}  // namespace

bool has_hunks(std::string_view text) {
  return std::ranges::any_of(code_lines(text), begins_hunk);
}

Checked<std::vector<AnswerHunk>> read_hunks(std::string_view answer) {
  const CodeLines lines = code_lines(answer);
  std::vector<AnswerHunk> hunks;
  std::size_t previous_end = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (ends_hunk(lines[i])) {
      return Refusal{Refusal::Kind::no_code,
                     "the answer's SEARCH and REPLACE lines do not pair up"};
    }
    if (!begins_hunk(lines[i])) continue;
    if (hunks.size() == max_hunks) {
      return Refusal{Refusal::Kind::too_large,
                     fmt::format("the answer has more than {} blocks", max_hunks)};
    }
    AnswerHunk hunk;
    hunk.path = path_above(lines, i, previous_end);
    if (hunk.path.empty() && !hunks.empty()) hunk.path = hunks.back().path;
    std::size_t usual = 0;
    std::size_t end = i + 1;
    while (end < lines.size() && !ends_hunk(lines[end]) && !begins_hunk(lines[end])) {
      constexpr std::array<std::string_view, 1> nothing{""};
      if (const std::size_t length = marker(lines[end], '=', nothing);
          length > 0 && hunk.dividers.size() < 4 * max_dividers) {
        // Those of the usual length come first.
        const bool likely = length == usual_length;
        const auto place = likely ? hunk.dividers.begin() + static_cast<std::ptrdiff_t>(usual)
                                  : hunk.dividers.end();
        hunk.dividers.insert(place, end - i - 1);
        usual += likely ? 1 : 0;
      }
      ++end;
    }
    if (end == lines.size() || begins_hunk(lines[end])) {
      return Refusal{Refusal::Kind::no_code, "a block of the answer has no end"};
    }
    if (hunk.dividers.empty()) {
      return Refusal{Refusal::Kind::no_code, "a block of the answer has no ======= line"};
    }
    if (hunk.dividers.size() > max_dividers) hunk.dividers.resize(max_dividers);
    hunk.lines.assign(lines.begin() + static_cast<std::ptrdiff_t>(i + 1),
                      lines.begin() + static_cast<std::ptrdiff_t>(end));
    hunks.push_back(std::move(hunk));
    previous_end = end + 1;
    i = end;
  }
  if (hunks.empty()) {
    const bool empty = is_blank(answer);
    return Refusal{Refusal::Kind::no_code,
                   empty ? "the answer is empty" : "the answer has no SEARCH/REPLACE block"};
  }
  return hunks;
}

}  // namespace hearth::lsp
