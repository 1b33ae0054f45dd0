// Lines such as "// ... rest of the function ..." that stand for code that a model did not repeat.
#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>

#include "lsp/edits/answer.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t longest = 200;  // bytes of a line that is looked at
constexpr std::string_view ellipsis = "\xE2\x80\xA6";

// Words that such lines are made of: those that say it, those that say it beside "...", and those
// between them.
constexpr std::array<std::string_view, 13> telling{
    "unchanged", "existing",  "omitted", "rest",    "remaining",  "remainder", "same",
    "elided",    "truncated", "snipped", "brevity", "unmodified", "untouched"};
constexpr std::array<std::string_view, 11> hinting{"left",     "snip",     "skipped", "other",
                                                   "previous", "original", "remains", "abridged",
                                                   "keep",     "here",     "goes"};
constexpr std::array<std::string_view, 60> filling{
    "the",     "of",      "code",     "is",         "are",
    "remain",  "as",      "before",   "above",      "below",
    "method",  "methods", "function", "class",      "functions",
    "file",    "lines",   "line",     "out",        "implementation",
    "body",    "stays",   "stay",     "and",        "no",
    "changes", "change",  "needed",   "kept",       "your",
    "this",    "that",    "for",      "in",         "between",
    "etc",     "more",    "logic",    "with",       "it",
    "was",     "were",    "stuff",    "content",    "contents",
    "section", "part",    "all",      "to",         "imports",
    "fields",  "members", "tests",    "cases",      "module",
    "not",     "shown",   "from",     "statements", "properties"};

bool is_any(std::string_view word, std::span<const std::string_view> list) {
  return std::ranges::find(list, word) != list.end();
}

std::string lowered(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with(ellipsis)) {
      result += "...";
      i += ellipsis.size() - 1;
    } else {
      result += text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    }
  }
  return result;
}

// What a comment that is all of `line` says; nothing where it is no comment.
bool take_comment(std::string_view& line) {
  constexpr std::array<std::string_view, 12> openings{"{/*",  "<!--", "/**", "/*", "///", "//",
                                                      "--[[", "--",   "##",  "#",  ";;",  "%"};
  constexpr std::array<std::string_view, 6> closings{"*/}", "-->", "*/", "]]", "*)", "#}"};
  bool comment = false;
  if (line.starts_with("(*") || line.starts_with("{#")) {
    line.remove_prefix(2);
    comment = true;
  }
  for (const std::string_view opening : openings) {
    if (comment || !line.starts_with(opening)) continue;
    line.remove_prefix(opening.size());
    comment = true;
  }
  if (!comment && (line.starts_with("* ") || line.starts_with("; "))) {
    line.remove_prefix(2);
    comment = true;
  }
  for (const std::string_view closing : closings) {
    if (comment && line.ends_with(closing)) {
      line.remove_suffix(closing.size());
      break;
    }
  }
  line = trimmed(line);
  return comment;
}

struct Words {
  std::size_t telling_ones = 0;
  std::size_t hinting_ones = 0;
  std::size_t others = 0;  // none of the words above

  bool hint() const { return telling_ones + hinting_ones > 0; }
};

Words words_of(std::string_view text) {
  Words words;
  for (std::size_t at = 0; at < text.size();) {
    if (!is_word_byte(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && (is_word_byte(text[end]) || text[end] == '\'')) ++end;
    const std::string_view word = text.substr(at, end - at);
    const bool number = word.find_first_not_of("0123456789") == word.npos;
    if (is_any(word, telling)) {
      ++words.telling_ones;
    } else if (is_any(word, hinting)) {
      ++words.hinting_ones;
    } else if (!number && !is_any(word, filling)) {
      ++words.others;
    }
    at = end;
  }
  return words;
}

bool only_dots(std::string_view text) {
  return text.size() >= 3 && text.find_first_not_of('.') == text.npos;
}

bool stands_for_code(std::string_view line) {
  line = trimmed(line);
  if (line.empty() || line.size() > longest) return false;
  const std::string lower = lowered(line);
  // Inside of a line: "{ ... }", "/* ... */", and a comment at its end.
  if (lower.find("{ ... }") != lower.npos || lower.find("{...}") != lower.npos ||
      lower.find("/* ... */") != lower.npos || lower.find("/*...*/") != lower.npos) {
    return true;
  }
  for (const std::string_view opening : {"// ...", "# ...", "/* ..."}) {
    const std::size_t at = lower.find(opening);
    if (at == lower.npos || at == 0) continue;
    const Words words = words_of(std::string_view(lower).substr(at));
    if (words.others == 0) return true;
  }
  std::string_view text = lower;
  const bool comment = take_comment(text);
  if (!comment && text.size() > 2 &&
      ((text.front() == '[' && text.back() == ']') || (text.front() == '(' && text.back() == ')') ||
       (text.front() == '<' && text.back() == '>'))) {
    text = trimmed(text.substr(1, text.size() - 2));
  }
  if (only_dots(text)) return true;
  const bool begins = text.starts_with("...");
  const bool ends = text.ends_with("...");
  const Words words = words_of(text);
  if (begins && ends) return true;
  // Not "...existing,", which is code.
  if (!comment) {
    return (text.starts_with("... ") || ends) && words.hint() && words.others == 0;
  }
  if (begins) return words.hint() || words.others == 0;
  if (ends) return words.hint() && words.others <= 1;
  return words.telling_ones > 0 && words.others == 0 && text.find(' ') != text.npos;
}

}  // namespace

std::string_view placeholder_in(std::span<const std::string_view> lines,
                                std::span<const std::string_view> code) {
  std::unordered_set<std::string_view> known;
  bool filled = false;
  for (const std::string_view line : lines) {
    if (!stands_for_code(line)) continue;
    if (!filled) {
      for (const std::string_view each : code) known.insert(trimmed(each));
      filled = true;
    }
    if (!known.contains(trimmed(line))) return trimmed(line);
  }
  return {};
}

}  // namespace hearth::lsp
