// Trimming of completions.
#include "lsp/completion_text.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace hearth::lsp {
namespace {

constexpr std::string_view blanks = " \t\r\n\f\v";
constexpr std::string_view line_ends = "\r\n";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(blanks) == std::string_view::npos;
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find_first_of(line_ends));
}

std::string_view without_trailing_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

// How many brackets of each kind are open, or closed too often (negative).
struct Balance {
  std::array<long, 3> open{};  // ( [ {

  Balance& operator+=(std::string_view text) {
    for (const char c : text) {
      const std::size_t opening = std::string_view("([{").find(c);
      const std::size_t closing = std::string_view(")]}").find(c);
      if (opening != std::string_view::npos) ++open[opening];
      if (closing != std::string_view::npos) --open[closing];
    }
    return *this;
  }
  long surplus() const { return std::abs(open[0]) + std::abs(open[1]) + std::abs(open[2]); }
};

// Brackets, quotes and the like, which belong to what is around them.
bool only_closers(std::string_view text) {
  return text.find_first_not_of(")]}>\"'`;,: \t\r\n") == std::string_view::npos;
}

// The rest of a line that follows is repeated, and says something of its own.
bool repeats_line(std::string_view overlap, std::string_view after) {
  const bool to_line_end = overlap.size() == after.size() ||
                           line_ends.find(after[overlap.size()]) != std::string_view::npos;
  return to_line_end && !only_closers(overlap);
}

// Only brackets and the like are repeated, and the document balances no worse without them.
bool repeats_closers(std::string_view overlap, std::string_view completion, std::string_view before,
                     std::string_view after) {
  if (!only_closers(overlap)) return false;
  Balance cut;
  cut += before;
  cut += completion.substr(0, completion.size() - overlap.size());
  cut += after;
  Balance kept = cut;
  kept += overlap;
  return cut.surplus() <= kept.surplus();
}

std::string_view without_repetition(std::string_view completion, std::string_view before,
                                    std::string_view after) {
  for (std::size_t size = std::min(completion.size(), after.size()); size > 0; --size) {
    const std::string_view overlap = after.substr(0, size);
    if (!completion.ends_with(overlap)) continue;
    if (repeats_closers(overlap, completion, before, after) || repeats_line(overlap, after)) {
      return completion.substr(0, completion.size() - size);
    }
  }
  return completion;
}

}  // namespace

std::optional<std::string_view> typed_between(std::string_view base, Byte base_cursor,
                                              std::string_view now, Byte now_cursor) {
  const std::size_t from = base_cursor.value;
  const std::size_t to = now_cursor.value;
  if (to < from || now.size() - base.size() != to - from) return std::nullopt;
  const bool same =
      now.substr(0, from) == base.substr(0, from) && now.substr(to) == base.substr(from);
  if (!same) return std::nullopt;
  return now.substr(from, to - from);
}

bool stays_on_line(std::string_view after) {
  return !is_blank(first_line(after));
}

std::string with_line_endings_of(std::string_view document, std::string_view completion) {
  const std::size_t first = document.find('\n');
  const bool crlf = first != std::string_view::npos && first > 0 && document[first - 1] == '\r';
  std::string text;
  for (const char c : completion) {
    if (c == '\r') continue;
    if (c == '\n' && crlf) text += '\r';
    text += c;
  }
  return text;
}

std::string useful_completion(std::string_view generated, bool cut_short, std::string_view before,
                              std::string_view after) {
  std::string_view text = generated;
  if (stays_on_line(after)) text = first_line(text);
  const std::size_t last_line = text.find_last_of(line_ends);
  const bool several = last_line != std::string_view::npos && !is_blank(text.substr(0, last_line));
  if (cut_short && several) text = text.substr(0, last_line);
  text = without_repetition(without_trailing_blanks(text), before, after);
  text = without_trailing_blanks(text);
  return is_blank(text) ? std::string() : std::string(text);
}

}  // namespace hearth::lsp
