// Lines, by their text; by the errors of their trees where there are trees.
#include "lsp/completion/lines.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "lsp/document/indentation.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

std::string_view first_word(std::string_view code) {
  const auto end = std::ranges::find_if_not(code, is_word_byte);
  return code.substr(0, static_cast<std::size_t>(end - code.begin()));
}

template <std::size_t count>
bool contains(const std::array<std::string_view, count>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// A line without its indentation and without a comment at its end.
std::string_view code_of(std::string_view line, std::string_view comment_begin) {
  const std::size_t comment = comment_begin.empty() ? line.npos : line.rfind(comment_begin);
  const bool after_code = comment != line.npos && comment > 0 &&
                          blanks.find(line[comment - 1]) != blanks.npos &&
                          !is_blank(line.substr(0, comment));
  if (after_code && std::ranges::count(line.substr(0, comment), '"') % 2 == 0) {
    line = line.substr(0, comment);
  }
  return trimmed(line);
}

// The position of the innermost bracket that a line opens and does not close; npos: none.
std::size_t open_bracket(std::string_view line) {
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (std::string_view("([{").find(line[at]) != line.npos) open.push_back(at);
    if (std::string_view(")]}").find(line[at]) != line.npos && !open.empty()) open.pop_back();
  }
  return open.empty() ? line.npos : open.back();
}

// Whether the lines below one stand further to the right.
bool opens_block(std::string_view code) {
  constexpr std::array<std::string_view, 5> words = {"do", "then", "else", "begin", "try"};
  if (code.empty()) return false;
  const std::size_t last = code.find_last_of(" \t)}");
  return std::string_view("([{:").find(code.back()) != code.npos ||
         contains(words, code.substr(last + 1));
}

bool is_comment_line(std::string_view line, const CompletionPlace& place) {
  const std::string_view text = trimmed(line);
  if (!place.comment_begin.empty()) return text.starts_with(place.comment_begin);
  constexpr std::array<std::string_view, 4> usual = {"#", "//", "--", "/*"};
  return std::ranges::any_of(usual, [&](auto begin) { return text.starts_with(begin); });
}

bool opens_block(std::string_view line, const CompletionPlace& place) {
  return !is_comment_line(line, place) && opens_block(code_of(line, place.comment_begin));
}

// Words that begin a statement in the languages that we know, and not the rest of an expression.
bool begins_statement(std::string_view code) {
  constexpr std::array<std::string_view, 32> words = {
      "for",    "if",     "while",  "return", "def",    "class",    "import", "from",
      "with",   "try",    "raise",  "elif",   "else",   "except",   "assert", "function",
      "const",  "let",    "var",    "switch", "struct", "template", "using",  "namespace",
      "public", "static", "export", "fn",     "impl",   "match",    "pub",    "async"};
  const std::string_view word = first_word(code);
  if (!contains(words, word)) return false;
  return word.size() == code.size() ||
         std::string_view(" \t(:{").find(code[word.size()]) != code.npos;
}

// Words that go on with a block that was closed on the same line: "} else {".
bool follows_block(std::string_view code) {
  constexpr std::array<std::string_view, 7> words = {"else",  "elif",   "catch", "finally",
                                                     "while", "except", "from"};
  return contains(words, first_word(code));
}

// Whether a line stops where an expression has to go on.
bool is_unfinished(std::string_view code) {
  constexpr std::array<std::string_view, 7> words = {"and", "or", "not", "in", "is", "=>", "->"};
  for (const std::string_view finished : {"++", "--", "*/"}) {
    if (code.ends_with(finished)) return false;
  }
  if (code.empty()) return false;
  const std::size_t last = code.find_last_of(" \t");
  return std::string_view("=+-*/%&|^<,.\\([~@").find(code.back()) != code.npos ||
         contains(words, code.substr(last + 1));
}

// The last line of `before` above the cursor's that is not blank.
std::string_view line_above(std::string_view before) {
  while (true) {
    const std::size_t end = before.find_last_of(line_ends);
    if (end == before.npos) return {};
    before = before.substr(0, end);
    const std::string_view line = line_before(before);
    if (!is_blank(line)) return line;
  }
}

// `text` with its lines but the first moved to the left by `columns`.
std::string moved_left(std::string_view text, std::size_t columns) {
  std::string moved;
  for (std::size_t line = 0; !text.empty(); ++line) {
    const std::size_t size = std::min(text.find('\n'), text.size() - 1) + 1;
    std::string_view here = text.substr(0, size);
    text.remove_prefix(size);
    for (std::size_t left = columns; line > 0 && left > 0 && !indentation(here).empty();) {
      const std::size_t width = indentation_width(here.substr(0, 1));
      left -= std::min(left, width);
      here.remove_prefix(1);
    }
    moved += here;
  }
  return moved;
}

// How the first line of `text` is indented when it comes to stand behind the blanks `start` of its
// line, below the line `above`: as the model has it, but not twice, and no further than that line
// lets it. What the first line loses of its place, the others lose too.
std::string indented(std::string_view text, std::string_view start, std::string_view above,
                     const CompletionPlace& place) {
  const std::string step = indentation_step(place.before);
  const bool opens = opens_block(above, place);
  const std::size_t at = indentation_width(start);
  const std::size_t left = indentation_width(above);
  std::size_t max = left + (opens ? indentation_width(step) : 0);
  if (const std::size_t bracket = open_bracket(above); bracket != above.npos) {
    max = std::max(max, bracket + 1);  // aligned with what follows it
  }
  const std::string_view lead = indentation(text);
  std::string_view kept = lead;
  const bool repeated = at > 0 && !(opens && at <= left);
  if (repeated && lead.starts_with(start)) {
    kept.remove_prefix(start.size());
  } else if (repeated && same_indentation(lead, start)) {
    kept = {};
  }
  std::string begin(kept);
  if (at + indentation_width(begin) > max) {
    const std::string whole = std::string(indentation(above)).append(opens ? step : "");
    begin = at < max && whole.starts_with(start) ? whole.substr(start.size()) : std::string();
  }
  const std::size_t meant = indentation_width(lead);
  const std::size_t is = at + indentation_width(begin);
  begin += text.substr(lead.size());
  return meant > is ? moved_left(begin, meant - is) : begin;
}

struct Errors {
  std::size_t joined = 0;
  std::size_t broken = 0;
};

std::optional<Errors> errors(std::string_view text, std::string_view on_new_line,
                             const CompletionPlace& place) {
  if (!place.errors) return std::nullopt;
  const auto joined = place.errors(text);
  const auto broken = place.errors("\n" + std::string(on_new_line));
  if (!joined || !broken) return std::nullopt;
  return Errors{*joined, *broken};
}

// What is written at the end of a comment goes on with it, unless it looks like a line of its own.
bool ends_comment(std::string_view line, std::string_view text, bool deep,
                  const std::optional<Errors>& found) {
  const std::string_view first = line_after(text);
  const std::string_view code = trimmed(first);
  if (found && found->broken > found->joined) return false;
  if (deep) return true;
  if (!found || !indentation(first).empty()) return false;
  const bool glued = is_word_byte(line.back()) && is_word_byte(code.front());
  const bool code_like = code.find('(') != code.npos || code.find('=') != code.npos ||
                         std::string_view(":;{").find(code.back()) != code.npos;
  return begins_statement(code) || code.find(" = ") != code.npos || (code_like && !glued);
}

// Whether `text`, made at the end of `line`, is a line of its own though it does not begin with a
// line break. Neither of the two is blank at its beginning.
bool is_line_of_its_own(std::string_view line, std::string_view text, std::string_view on_new_line,
                        const CompletionPlace& place) {
  const std::string_view first = line_after(text);
  const std::string_view lead = indentation(first);
  const std::string_view code = trimmed(first);
  const bool deep = indentation_width(lead) >= 2;
  const bool several = text.find('\n') != text.npos;
  const auto found = errors(text, on_new_line, place);
  const bool comment = is_comment_line(code, place);
  if (place.in_comment || is_comment_line(line, place)) {
    const bool in_block =
        code.starts_with('*') && std::string_view("/*").find(trimmed(line).front()) != line.npos;
    return comment || in_block || ends_comment(line, text, deep, found);
  }
  if (comment) return lead.empty();
  const std::string_view above = code_of(line, place.comment_begin);
  if (is_unfinished(above)) return false;
  if (found && found->joined != found->broken) return found->broken < found->joined;

  const bool brackets_closed = open_bracket(line) == line.npos;
  if (above.ends_with('{')) return deep || several || (lead.empty() && code.find('}') == code.npos);
  if (above.ends_with(':')) {
    return deep || (lead.empty() && brackets_closed && begins_statement(above));
  }
  const bool ended = (brackets_closed && std::string_view(";}").find(above.back()) != line.npos) ||
                     above.ends_with("*/");
  if (ended) return !follows_block(code) && (is_word_byte(code.front()) || deep);
  return deep || (lead.empty() && begins_statement(code));
}

// A line's text as lines are compared: runs of blanks are one blank each.
std::string compared(std::string_view line) {
  std::string text;
  for (const char c : trimmed(line)) {
    const bool blank = blanks.find(c) != blanks.npos;
    if (!blank || text.back() != ' ') text += blank ? ' ' : c;
  }
  return text;
}

bool is_same_line(std::string_view one, std::string_view other) {
  return same_indentation(one, other) && compared(one) == compared(other);
}

std::string_view first_line_that_follows(std::string_view after) {
  while (true) {
    const std::size_t end = after.find_first_of(line_ends);
    if (end == after.npos) return {};
    after.remove_prefix(end + 1);
    const std::string_view line = line_after(after);
    if (!is_blank(line)) return line;
  }
}

}  // namespace

std::string_view line_before(std::string_view before) {
  return before.substr(before.find_last_of(line_ends) + 1);  // npos + 1 is 0
}

std::string_view line_after(std::string_view after) {
  return after.substr(0, after.find_first_of(line_ends));
}

std::string on_its_line(std::string_view text, const CompletionPlace& place) {
  const std::string_view line = line_before(place.before);
  const std::string_view first = line_after(text);
  const std::string_view lead = indentation(first);
  if (lead.size() == first.size()) return std::string(text.substr(lead.size()));
  if (is_blank(line)) return indented(text, line, line_above(place.before), place);

  // A model that leaves the line break out writes the indentation, or not even that.
  std::string on_new_line;
  if (indentation_width(lead) < 2) {
    const bool opens = opens_block(line, place);
    on_new_line.append(indentation(line)).append(opens ? indentation_step(place.before) : "");
    on_new_line.append(text.substr(lead.size()));
  } else {
    on_new_line = indented(text, "", line, place);
  }
  if (is_line_of_its_own(line, text, on_new_line, place)) return "\n" + on_new_line;

  if (is_comment_line(first, place) || indentation_width(lead) < 2) return std::string(text);
  const bool tight = blanks.find(line.back()) != blanks.npos ||
                     std::string_view("([.").find(line.back()) != line.npos;
  return std::string(tight ? "" : " ").append(text.substr(lead.size()));
}

bool splits_line(std::string_view text, const CompletionPlace& place) {
  const std::string_view line = line_before(place.before);
  const std::string_view rest = line_after(place.after);
  if (rest.empty()) return false;
  if (!is_blank(line) && indentation_width(text) >= 2) return true;
  const bool in_string =
      std::ranges::count(line, '"') % 2 != 0 || std::ranges::count(line, '\'') % 2 != 0;
  // In front of a line's first word another one would have grown into it.
  const bool word_behind = is_word_byte(text.back()) && (place.errors || is_blank(line));
  const bool value_behind = text.back() == ')' || text.back() == ']' || word_behind;
  if (value_behind && is_word_byte(rest.front()) && !in_string) return true;
  if (place.errors) {
    const auto without = place.errors("");
    const auto with = place.errors(text);
    if (without && with && (*with != *without || *without == 0)) return *with > *without;
  }
  const std::string_view code = trimmed(text);
  return !is_blank(line) && begins_statement(code) &&
         std::string_view(":{;").find(code.back()) != code.npos;
}

std::string_view without_following_lines(std::string_view text, const CompletionPlace& place) {
  const std::string_view next = first_line_that_follows(place.after);
  const bool says_something = next.find_first_not_of(")]}>\"'`;,: \t") != next.npos;
  if (!says_something) return text;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::string_view line = line_after(text.substr(begin));
    const bool cursors = begin == 0;
    const std::string whole =
        std::string(cursors ? line_before(place.before) : std::string_view{}).append(line);
    if (!is_blank(line) && is_same_line(whole, next)) return text.substr(0, begin);
    begin += line.size() + 1;
  }
  return text;
}

}  // namespace hearth::lsp
