// Chooses the reading of an answer's indentation in which most of its lines are the code's.
#include "lsp/edits/fit.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <unordered_set>
#include <utility>

#include "lsp/document/indentation.hpp"
#include "lsp/edits/diff.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

CodeLines views(const std::vector<std::string>& lines) {
  return {lines.begin(), lines.end()};
}

// What lines are indented with. A single blank is part of a comment's form (" * text").
struct Style {
  std::size_t tabs = 0;  // lines
  std::size_t blanks = 0;

  explicit Style(std::span<const std::string_view> lines) {
    for (const std::string_view line : lines) {
      if (is_blank(line)) continue;
      tabs += line.starts_with('\t') ? 1 : 0;
      blanks += line.starts_with("  ") ? 1 : 0;
    }
  }
};

std::string with_tabs(std::string_view line, std::size_t width) {
  const std::string_view left = indentation(line);
  std::size_t column = 0;
  for (const char c : left) column += c == '\t' ? width - column % width : 1;
  return std::string(column / width, '\t') + std::string(column % width, ' ') +
         std::string(line.substr(left.size()));
}

std::string with_blanks(std::string_view line, std::size_t width) {
  const std::string_view left = indentation(line);
  std::string result;
  for (const char c : left) {
    result.append(c == '\t' ? width - result.size() % width : 1, ' ');
  }
  return result.append(line.substr(left.size()));
}

std::string joined_lines(std::span<const std::string_view> lines) {
  std::string text;
  for (const std::string_view line : lines) text.append(line).append("\n");
  return text;
}

// How many lines (those that say something count more) are the code's.
std::size_t agreement(std::span<const std::string_view> lines,
                      const std::unordered_set<std::string_view>& code) {
  std::size_t score = 0;
  for (const std::string_view line : lines) {
    if (is_blank(line) || !code.contains(trimmed_right(line))) continue;
    score += has_word(line) ? 4 : 1;
  }
  return score;
}

std::unordered_set<std::string_view> set_of(const ShownLines& shown) {
  std::unordered_set<std::string_view> set;
  for (const std::string_view line : shown.lines) set.insert(trimmed_right(line));
  return set;
}

CodeLines with_words(std::span<const std::string_view> lines) {
  CodeLines result;
  std::ranges::copy_if(lines, std::back_inserter(result), has_word);
  return result;
}

// One way to read an answer's indentation, and how much of the code it has then.
struct Reading {
  CodeLines lines;
  std::size_t score = 0;
  bool doubtful = false;
};

// The answer as the code was shown, the likeliest reading first: without an indentation that all of
// its lines have, or all but the first, where the model began in the middle of a line. Lines that
// were never indented as the others (a preprocessor's) are left alone.
std::vector<Reading> readings(std::span<const std::string_view> answer, const ShownLines& shown) {
  std::unordered_set<std::string_view> undented;
  for (std::size_t i = 0; shown.any_undented && i < shown.lines.size(); ++i) {
    if (!shown.dedented[i]) undented.insert(shown.lines[i]);
  }
  const std::unordered_set<std::string_view> code = set_of(shown);
  const auto said = [&](std::string_view line) {
    return !is_blank(line) && !undented.contains(line);
  };
  const auto reading = [&](std::size_t from, std::string_view left) {
    Reading result{{answer.begin(), answer.end()}};
    for (std::size_t i = from; i < answer.size(); ++i) {
      std::string_view& line = result.lines[i];
      if (said(line) && line.starts_with(left)) line.remove_prefix(left.size());
    }
    result.score = agreement(result.lines, code);
    return result;
  };
  CodeLines others;
  std::ranges::copy_if(answer, std::back_inserter(others), said);
  const std::string_view margin = common_indentation(others);
  std::vector<Reading> all;
  if (!margin.empty()) all.push_back(reading(0, margin));
  all.push_back(reading(0, {}));
  if (!margin.empty() || shown.outer.empty() || others.size() < 2 || shown.lines.empty()) {
    return all;
  }

  // The first line is the least indented. Are the others indented as in the document?
  const auto is_inside = [&](std::string_view line) { return line.starts_with(shown.outer); };
  const auto rest = std::span(others).subspan(1);
  if (!std::ranges::all_of(rest, is_inside) || is_inside(others.front())) return all;
  CodeLines shown_rest;
  std::ranges::copy_if(std::span(shown.lines).subspan(1), std::back_inserter(shown_rest), said);
  const auto is_moved = [&](std::string_view before, std::string_view now) {
    return now.size() == shown.outer.size() + before.size() && now.ends_with(before);
  };
  const auto first = std::ranges::find_if(answer, said);
  Reading moved = reading(static_cast<std::size_t>(first - answer.begin()) + 1, shown.outer);
  // Brackets alone may be as far to the left as the first line.
  const std::string_view inner = common_indentation(with_words(shown_rest));
  if (!inner.empty() && is_moved(inner, common_indentation(with_words(rest)))) {
    // What is put around all of the code would have a line of its own that is less indented.
    return {std::move(moved)};
  }
  // Or is the code inside of something new, whose head is the first line?
  const bool inside = std::ranges::any_of(
      rest, [&](std::string_view line) { return trimmed(line) == trimmed(shown.lines.front()); });
  const std::size_t score = all.front().score;
  if (inside || !is_moved(common_indentation(shown_rest), common_indentation(rest)) ||
      moved.score < score || (inner.empty() && moved.score == score)) {
    return all;
  }
  moved.doubtful = inner.empty() || moved.score == score;
  return {std::move(moved)};
}

// Without what the range's first and last line have outside of it ("const f = " and ";"), where the
// model repeats that. An expression's brackets are its own.
CodeLines without_surroundings(const TargetLines& target,
                               std::span<const std::string_view> answer) {
  CodeLines lines(answer.begin(), answer.end());
  if (lines.empty()) return lines;
  const std::string_view before = trimmed(target.before);
  const std::string_view after = trimmed(target.after);
  const bool begins =
      has_word(before) && std::string_view("([{,").find(before.back()) == before.npos;
  const bool repeats_before = begins && trimmed(lines.front()).starts_with(before) &&
                              !trimmed(target.lines.front()).starts_with(before);
  if (repeats_before) lines.front() = trimmed(trimmed(lines.front()).substr(before.size()));
  if (!after.empty() && (repeats_before || after == ";" || after == ",") &&
      trimmed(lines.back()).ends_with(after) && !trimmed(target.lines.back()).ends_with(after)) {
    lines.back() = trimmed_right(lines.back());
    lines.back().remove_suffix(after.size());
  }
  return lines;
}

std::size_t common_affix(std::string_view one, std::string_view other) {
  const auto front = std::ranges::mismatch(one, other).in1 - one.begin();
  one.remove_prefix(static_cast<std::size_t>(front));
  other.remove_prefix(static_cast<std::size_t>(front));
  std::size_t back = 0;
  while (back < std::min(one.size(), other.size()) &&
         one[one.size() - 1 - back] == other[other.size() - 1 - back]) {
    ++back;
  }
  return static_cast<std::size_t>(front) + back;
}

// Whether a new line stands with those that were not dedented. They are rare: `old_begin` and
// `old_end` tell which lines it replaces, and its neighbours decide where it replaces none.
bool undented(const ShownLines& shown, std::size_t old_begin, std::size_t old_end,
              std::string_view line) {
  constexpr std::size_t lines_looked_at = 100;
  if (!shown.any_undented) return false;
  const auto lacks = [&](std::size_t i) { return !shown.dedented[i] && !shown.lines[i].empty(); };
  std::size_t best = 0;
  bool found = false;
  bool result = false;
  for (std::size_t i = old_begin; i < std::min(old_end, old_begin + lines_looked_at); ++i) {
    if (shown.lines[i].empty()) continue;
    const std::size_t alike = common_affix(shown.lines[i], line);
    if (found && alike <= best) continue;
    best = alike;
    found = true;
    result = lacks(i);
  }
  if (found) return result;
  bool above = false;
  bool below = false;
  std::size_t i = old_begin;
  while (i > 0 && shown.lines[i - 1].empty()) --i;
  if (i > 0) above = lacks(i - 1);
  for (i = old_end; i < shown.lines.size() && shown.lines[i].empty();) ++i;
  if (i < shown.lines.size()) below = lacks(i);
  return (above && below) || ((above || below) && indentation(line).empty());
}

}  // namespace

std::vector<std::vector<std::string>> in_style_of(const TargetLines& target,
                                                  std::span<const std::string_view> lines) {
  const Style wanted(target.all);
  const Style given(lines);
  const bool to_tabs = wanted.tabs > wanted.blanks && given.blanks > 0;
  const bool to_blanks = wanted.blanks > wanted.tabs && given.tabs > 0;

  std::vector<std::vector<std::string>> results;
  const auto add_as_it_is = [&] { results.emplace_back(lines.begin(), lines.end()); };
  if (!to_tabs && !to_blanks) {
    add_as_it_is();
    return results;
  }
  // One step of what is indented with blanks.
  const std::string step =
      to_tabs ? indentation_step(joined_lines(lines)) : indentation_step(joined_lines(target.all));
  std::vector<std::size_t> widths{step == "\t" ? std::size_t{4} : step.size()};
  for (const std::size_t width : std::array<std::size_t, 3>{4, 2, 8}) {
    if (width != widths.front()) widths.push_back(width);
  }
  for (const std::size_t width : widths) {
    std::vector<std::string>& result = results.emplace_back();
    for (const std::string_view line : lines) {
      result.push_back(to_tabs ? with_tabs(line, width) : with_blanks(line, width));
    }
  }
  if (wanted.tabs > 0 && wanted.blanks > 0) add_as_it_is();
  return results;
}

Checked<LinesEdit> fit_whole(const TargetLines& target, std::span<const std::string_view> answer) {
  const CodeLines bare = without_surroundings(target, answer);
  const std::vector<std::vector<std::string>> styles = in_style_of(target, bare);
  std::string_view outer;
  std::optional<Reading> best;
  for (const std::string_view each : outer_indentations(target)) {
    const ShownLines shown(target, each);
    for (const std::vector<std::string>& style : styles) {
      for (Reading& reading : readings(views(style), shown)) {
        if (best && reading.score <= best->score) continue;
        best = std::move(reading);
        outer = each;
      }
    }
  }
  if (best->doubtful) {
    return Refusal{Refusal::Kind::ambiguous,
                   "the indentation of the answer can be read in two ways"};
  }
  return fit_lines(target, ShownLines(target, outer), 0, target.lines.size(), best->lines);
}

LinesEdit fit_lines(const TargetLines& target, const ShownLines& shown, std::size_t begin,
                    std::size_t end, std::span<const std::string_view> answer) {
  LineNumbers numbers;
  const std::vector<std::uint32_t> old =
      numbers.of(std::span(shown.lines).subspan(begin, end - begin));
  const std::vector<std::uint32_t> fresh = numbers.of(answer);
  LinesEdit edit{begin, end, {}};
  std::size_t i = 0;  // in old
  std::size_t j = 0;  // in answer
  const auto keep_until = [&](std::size_t next) {
    for (; j < next; ++i, ++j) {
      const std::string_view theirs = target.lines[begin + i];
      const std::string_view line = answer[j];
      // Models drop the blanks at lines' ends; those that they add are meant.
      const bool adds = trimmed_right(line).size() < line.size() && !is_blank(line) &&
                        !shown.lines[begin + i].ends_with(line.substr(trimmed_right(line).size()));
      const std::string_view blanks_added =
          adds ? line.substr(trimmed_right(line).size()) : std::string_view{};
      // The first line, where it began in the middle of one and has another above it now.
      const bool moved_down = begin + i == 0 && j > 0 && !target.before.empty();
      edit.lines.emplace_back(moved_down ? shown.outer : std::string_view{});
      edit.lines.back().append(adds ? trimmed_right(theirs) : theirs).append(blanks_added);
    }
  };
  for (const LineChange& change : line_changes(old, fresh)) {
    keep_until(change.new_begin);
    for (; j < change.new_end; ++j) {
      const std::string_view line = answer[j];
      if (is_blank(line)) {
        edit.lines.emplace_back();
        continue;
      }
      const bool bare = undented(shown, begin + change.old_begin, begin + change.old_end, line) ||
                        (begin == 0 && change.old_begin == 0 && j == 0 && !target.before.empty());
      edit.lines.push_back(std::string(bare ? std::string_view{} : shown.outer).append(line));
    }
    i = change.old_end;
  }
  keep_until(fresh.size());
  return edit;
}

}  // namespace hearth::lsp
