// Blocks by indentation: a line and those below it that stand further to the right.
#include "lsp/document/indentation.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t tab_width = 4;

std::string_view line(const Text& text, std::size_t index) {
  return text.view(text.line_range(index));
}

std::size_t indent(std::string_view line) {
  return std::min(line.find_first_not_of(blanks), line.size());
}

// A line that goes on with the block above it though it is indented no further.
bool goes_on(std::string_view line) {
  const std::string_view code = trimmed(line);
  return !code.empty() && (std::string_view("{})]").find(code.front()) != code.npos ||
                           code == "end" || code.starts_with("end)"));
}

// The name before the first parenthesis, if the line looks like the head of a function.
std::string head_name(std::string_view line) {
  constexpr std::array<std::string_view, 14> others = {
      "if",    "for",  "while", "switch", "elif",  "else",    "catch",
      "match", "with", "try",   "return", "until", "foreach", "do"};
  const std::string_view code = trimmed(line);
  const std::size_t parenthesis = code.find('(');
  if (parenthesis == code.npos) return {};
  if (std::string_view("{:(),").find(code.back()) == code.npos) return {};
  const auto first_word_end = std::ranges::find_if_not(code, is_word_byte);
  const std::string_view first_word(code.begin(), first_word_end);
  if (std::ranges::find(others, first_word) != others.end()) return {};
  std::size_t begin = parenthesis;
  while (begin > 0 && is_word_byte(code[begin - 1])) --begin;
  return std::string(code.substr(begin, parenthesis - begin));
}

// The last line of the block that `head` begins.
std::size_t block_end(const Text& text, std::size_t head) {
  const std::size_t left = indent(line(text, head));
  std::size_t end = head;
  for (std::size_t i = head + 1; i < text.lines(); ++i) {
    const std::string_view below = line(text, i);
    if (is_blank(below)) continue;
    const std::size_t here = indent(below);
    if (here < left || (here == left && !goes_on(below))) break;
    end = i;
  }
  return end;
}

}  // namespace

std::string_view indentation(std::string_view line) {
  return line.substr(0, line.find_first_not_of(" \t"));
}

std::size_t indentation_width(std::string_view line) {
  std::size_t width = 0;
  for (const char c : indentation(line)) width += c == '\t' ? tab_width - width % tab_width : 1;
  return width;
}

bool same_indentation(std::string_view one, std::string_view other) {
  one = indentation(one);
  other = indentation(other);
  if (one == other) return true;
  if (one.find('\t') == one.npos) std::swap(one, other);
  const bool comparable = one.find(' ') == one.npos && other.find('\t') == other.npos;
  if (!comparable || one.empty() || other.size() % one.size() != 0) return false;
  const std::size_t tab = other.size() / one.size();
  return tab == 2 || tab == 4 || tab == 8;
}

std::string indentation_step(std::string_view text) {
  constexpr std::size_t lines_looked_at = 200;
  std::string_view below;  // the indentation of the line below the one that is looked at
  for (std::size_t line = 0; line < lines_looked_at && !text.empty(); ++line) {
    const std::size_t end = text.find_last_of("\r\n");
    const std::string_view here = end == text.npos ? text : text.substr(end + 1);
    text = end == text.npos ? std::string_view{} : text.substr(0, end);
    if (is_blank(here)) continue;
    const std::string_view left = indentation(here);
    if (below.size() > left.size() && below.starts_with(left)) {
      const std::string_view step = below.substr(left.size());
      if (step == "\t") return "\t";
      if (step.find('\t') == step.npos && step.size() >= 2 && step.size() <= 8) {
        return std::string(step);
      }
    }
    below = left;
  }
  return std::string(below.find('\t') == below.npos ? "    " : "\t");
}

ByteRange on_text(const Text& text, ByteRange range) {
  range.begin = std::max(range.begin, text.begin());
  range.end = std::max(range.end, range.begin);
  const std::string_view inside = text.view(range);
  const std::size_t first = inside.find_first_not_of(blanks);
  if (first != inside.npos) {
    const std::size_t last = inside.find_last_not_of(blanks);
    return {{range.begin.value + first}, {range.begin.value + last + 1}};
  }
  const std::size_t index = text.line_of(range.begin);
  const std::string_view whole = line(text, index);
  if (is_blank(whole)) return {range.begin, range.begin};
  const std::size_t start = text.line_range(index).begin.value;
  const std::size_t place = std::clamp(range.begin.value, start + whole.find_first_not_of(blanks),
                                       start + whole.find_last_not_of(blanks));
  return {{place}, {place + 1}};
}

std::optional<Declaration> enclosing_by_indentation(const Text& text, ByteRange range) {
  std::size_t head = text.line_of(range.begin);
  while (head > 0 && is_blank(line(text, head))) --head;
  // Climb from line to line further left until one looks like a function's head.
  std::size_t left = indent(line(text, head)) + 1;
  for (;; --head) {
    const std::string_view here = line(text, head);
    if (!is_blank(here) && indent(here) < left) {
      std::string name = goes_on(here) ? "" : head_name(here);
      const std::size_t last = block_end(text, head);
      if (!name.empty() && last > head && text.line_end(last) >= range.end) {
        const Byte begin{text.line_range(head).begin.value + indent(here)};
        return Declaration{DeclarationRule::Kind::function,
                           std::move(name),
                           {begin, text.line_end(last)},
                           {begin, text.line_end(head)},
                           0};
      }
      if (!goes_on(here)) left = indent(here);
    }
    if (head == 0 || left == 0) return std::nullopt;
  }
}

}  // namespace hearth::lsp
