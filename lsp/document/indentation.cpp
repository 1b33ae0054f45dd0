// Blocks by indentation: a line and those below it that stand further to the right.
#include "lsp/indentation.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace hearth::lsp {
namespace {

constexpr std::string_view blanks = " \t\r\n\f\v";

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

std::string_view line(const Text& text, std::size_t index) {
  return text.view({text.line_start(index), text.line_end(index)});
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(blanks) == line.npos;
}

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(blanks);
  return first == line.npos ? std::string_view{}
                            : line.substr(first, line.find_last_not_of(blanks) - first + 1);
}

std::size_t indent(std::string_view line) {
  return std::min(line.find_first_not_of(blanks), line.size());
}

// A line that goes on with the block above it though it stands no further to the right.
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
  const auto first_word_end = std::ranges::find_if_not(code, is_word);
  const std::string_view first_word(code.begin(), first_word_end);
  if (std::ranges::find(others, first_word) != others.end()) return {};
  std::size_t begin = parenthesis;
  while (begin > 0 && is_word(code[begin - 1])) --begin;
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

ByteRange on_text(const Text& text, ByteRange range) {
  const std::string_view inside = text.view(range);
  const std::size_t first = inside.find_first_not_of(blanks);
  if (first != inside.npos) {
    const std::size_t last = inside.find_last_not_of(blanks);
    return {{range.begin.value + first}, {range.begin.value + last + 1}};
  }
  const std::size_t index = text.line_of(range.begin);
  const std::string_view whole = line(text, index);
  if (is_blank(whole)) return {range.begin, range.begin};
  const std::size_t start = text.line_start(index).value;
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
        const Byte begin{text.line_start(head).value + indent(here)};
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
