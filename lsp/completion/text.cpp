// Trimming of completions.
#include "lsp/completion/text.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "lsp/completion/closing.hpp"
#include "lsp/completion/lines.hpp"
#include "lsp/document/indentation.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view closers = ")]}";

// Whether a character of UTF-8, told by its first byte, belongs to a word. Beyond ASCII there are
// letters, apart from the blocks of punctuation, symbols and emoji.
bool begins_word_character(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return is_word_byte(first) && byte != 0xE2 && byte < 0xF0;
}

bool ends_in_word(std::string_view text) {
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) {
    text.remove_suffix(1);
  }
  return !text.empty() && begins_word_character(text.back());
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
      const std::size_t closing = closers.find(c);
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

// The closing tags that `text` begins with: "</b></div>".
std::string_view closing_tags(std::string_view text) {
  std::size_t size = 0;
  while (text.substr(size).starts_with("</")) {
    const std::size_t end = text.find_first_of("> \t\r\n", size);
    if (end == std::string_view::npos || text[end] != '>') break;
    size = end + 1;
  }
  return text.substr(0, size);
}

std::size_t find_unescaped(std::string_view text, std::string_view wanted, std::size_t from = 0) {
  for (std::size_t at = from; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text.substr(at).starts_with(wanted)) {
      return at;
    }
  }
  return std::string_view::npos;
}

bool occurs_oddly(std::string_view text, std::string_view wanted) {
  bool odd = false;
  for (std::size_t at = find_unescaped(text, wanted); at != std::string_view::npos;
       at = find_unescaped(text, wanted, at + wanted.size())) {
    odd = !odd;
  }
  return odd;
}

// What closes the string that the cursor is in, if that is right behind the cursor.
struct ClosingQuote {
  std::string_view text;  // empty: none
  bool ends_with_line = false;
};

ClosingQuote closing_quote(std::string_view before, std::string_view after) {
  for (const std::string_view quote : {"\"\"\"", "'''", "`"}) {
    if (after.starts_with(quote) && occurs_oddly(before, quote)) return {quote, false};
  }
  for (const std::string_view quote : {"\"", "'"}) {
    if (after.starts_with(quote) && occurs_oddly(line_before(before), quote)) return {quote, true};
  }
  return {};
}

// The end of the string that begins at `at`, if one does and it ends on its line; else `at`.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  if (std::string_view("\"'`").find(text[at]) == std::string_view::npos) return at;
  const std::size_t end = find_unescaped(text, text.substr(at, 1), at + 1);
  const bool on_line = end < text.find_first_of(line_ends, at);
  return on_line ? end : at;
}

// `text` up to the bracket that closes what is closed behind the cursor: an auto-closed pair, or
// the block that the cursor is in. It closes that where the document needs no further bracket.
std::string_view before_repeated_closer(std::string_view text, const CompletionPlace& place) {
  const std::string_view next =
      place.after.substr(std::min(place.after.find_first_not_of(blanks), place.after.size()));
  const std::string_view closing = next.substr(0, next.find_first_not_of(")]};, \t\r\n"));
  if (closing.empty()) return text;
  Balance around;
  around += place.before;
  around += place.after;
  Balance inside;
  for (std::size_t at = 0; at < text.size(); ++at) {
    at = end_of_string(text, at);
    inside += text.substr(at, 1);
    const std::size_t kind = closers.find(text[at]);
    const bool closes_behind = kind != std::string_view::npos &&
                               closing.find(text[at]) != std::string_view::npos &&
                               inside.open[kind] < 0 && around.open[kind] + inside.open[kind] < 0;
    if (closes_behind) return text.substr(0, at);
  }
  return text;
}

// The rest of a line that follows is repeated, and says something of its own.
bool repeats_line(std::string_view overlap, std::string_view rest) {
  return overlap.size() == rest.size() && !only_closers(overlap);
}

// Only brackets and the like are repeated, and the document balances no worse without them.
bool repeats_closers(std::string_view overlap, std::string_view completion,
                     const CompletionPlace& place) {
  if (!only_closers(overlap)) return false;
  Balance cut;
  cut += place.before;
  cut += completion.substr(0, completion.size() - overlap.size());
  cut += place.after;
  Balance kept = cut;
  kept += overlap;
  return cut.surplus() <= kept.surplus();
}

// Without an end that repeats what follows the cursor.
std::string_view without_repetition(std::string_view completion, const CompletionPlace& place) {
  const std::string_view rest = line_after(place.after);
  for (std::size_t size = std::min(completion.size(), place.after.size()); size > 0; --size) {
    const std::string_view overlap = place.after.substr(0, size);
    if (!completion.ends_with(overlap)) continue;
    if (repeats_closers(overlap, completion, place) || repeats_line(overlap, rest) ||
        overlap == closing_tags(rest)) {
      return completion.substr(0, completion.size() - size);
    }
  }
  return completion;
}

// Without what is there behind the cursor: the end of the string that it is in, brackets, tags, the
// rest of the line.
std::string_view without_closed(std::string_view text, const CompletionPlace& place) {
  const ClosingQuote quote = closing_quote(place.before, place.after);
  const std::size_t quoted = quote.text.empty() ? text.npos : find_unescaped(text, quote.text);
  if (quoted != text.npos) return text.substr(0, quoted);
  const std::string_view open = before_repeated_closer(text, place);
  if (open.size() < text.size()) return open;
  const std::string_view whole = without_trailing_blanks(text);
  const std::string_view once = without_repetition(whole, place);
  return once.size() < whole.size() ? once : text;
}

// A completion in the middle of a line. A blank at its end parts it from what follows.
std::string within_line(std::string_view text, const CompletionPlace& place) {
  const std::string_view rest = line_after(place.after);
  const std::string_view kept = without_trailing_blanks(text);
  if (kept.empty()) return {};
  std::string useful(kept);
  const bool blank_behind = kept.size() < text.size() && is_blank(text.substr(kept.size(), 1));
  if (blank_behind && rest.find_first_of(" \t)]};,") != 0) useful += ' ';
  return splits_line(useful, place) ? std::string() : useful;
}

// Where brackets stand behind the cursor and the completion has lines of its own, whether they move
// to a line of their own too.
bool closes_on_own_line(std::string_view text, std::string_view trimmed,
                        const CompletionPlace& place) {
  const bool several = trimmed.find('\n') != std::string_view::npos;
  if (!several || is_blank(line_after(place.after))) return false;
  const bool ended_line = text.substr(trimmed.size()).find('\n') != std::string_view::npos;
  const std::string_view line = without_trailing_blanks(line_before(place.before));
  const bool broke_block = line.ends_with('{') && trimmed.starts_with('\n');
  return ended_line || broke_block;
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

std::optional<std::string_view> typed_nearby(std::string_view base, Byte base_cursor,
                                             std::string_view now, Byte now_cursor,
                                             std::string_view completion) {
  constexpr std::size_t bytes_behind = 200;
  const auto near_end = [](std::string_view text) {
    constexpr std::size_t bytes_before = 600;
    return text.substr(text.size() - std::min<std::size_t>(text.size(), bytes_before));
  };
  const std::string_view before = near_end(base.substr(0, base_cursor.value));
  if (base.substr(base_cursor.value, bytes_behind) != now.substr(now_cursor.value, bytes_behind)) {
    return std::nullopt;
  }
  const std::size_t most = std::min(completion.size(), now_cursor.value);
  for (std::size_t size = 0; size <= most; ++size) {
    const std::size_t begin = now_cursor.value - size;
    const std::string_view typed = now.substr(begin, size);
    if (completion.starts_with(typed) && near_end(now.substr(0, begin)) == before) return typed;
  }
  return std::nullopt;
}

std::string with_line_endings(std::string_view ending, std::string_view completion) {
  std::string text;
  for (const char c : completion) {
    if (c == '\r') continue;
    if (c == '\n' && !ending.empty()) {
      text += ending;
    } else {
      text += c;
    }
  }
  return text;
}

std::string without_common_ending(const Text& document, std::string completion) {
  const std::string_view ending = document.common_line_ending();
  if (ending.empty() || ending == "\n") return completion;
  std::string text;
  for (std::size_t at = 0; at < completion.size();) {
    const bool ends = completion.compare(at, ending.size(), ending) == 0;
    text += ends ? '\n' : completion[at];
    at += ends ? ending.size() : 1;
  }
  return text;
}

bool inside_word(std::string_view before, std::string_view after) {
  return ends_in_word(before) && !after.empty() && begins_word_character(after.front());
}

bool stays_on_line(std::string_view before, std::string_view after) {
  const ClosingQuote quote = closing_quote(before, after);
  if (!quote.text.empty()) after.remove_prefix(quote.text.size());
  const std::string_view rest = line_after(after);
  const std::size_t code = std::min(rest.find_first_not_of(blanks), rest.size());
  const std::string_view tags = closing_tags(rest.substr(code));
  const bool closes =
      rest.find_first_not_of(")]};, \t", code + tags.size()) == std::string_view::npos;
  return quote.ends_with_line || !closes;
}

std::string useful_completion(std::string_view generated, bool cut_short,
                              const CompletionPlace& place) {
  std::string_view text = generated;
  if (stays_on_line(place.before, place.after)) {
    return within_line(without_closed(line_after(text), place), place);
  }
  const std::size_t last_line = text.find_last_of(line_ends);
  const bool several = last_line != std::string_view::npos && !is_blank(text.substr(0, last_line));
  if (cut_short && several) text = text.substr(0, last_line);
  const std::string fitted = on_its_line(without_closed(text, place), place);
  text = without_following_lines(fitted, place);
  const std::string_view trimmed = without_trailing_blanks(text);
  if (is_blank(trimmed)) return {};
  std::string useful(trimmed);
  if (closes_on_own_line(text, trimmed, place)) {
    useful.append("\n").append(indentation(line_before(place.before)));
  }
  return useful;
}

FittedCompletion fitted_completion(std::string_view generated, bool cut_short, const Syntax& syntax,
                                   const SnapshotPtr& snapshot, Byte cursor) {
  const Text& text = *snapshot->text;
  CompletionPlace place{.before = text.view({text.begin(), cursor}),
                        .after = text.view({cursor, Byte{text.str().size()}})};
  const SyntaxTreePtr tree = syntax.tree(snapshot);
  if (const Language* language = tree->language()) place.comment_begin = language->comment_begin;
  if (tree->parsed()) {
    place.in_comment = tree->in_comment(cursor);
    place.errors = [&](std::string_view inserted) {
      return syntax.errors_with(*tree, cursor, inserted);
    };
  }
  const std::string lines = with_line_endings("\n", valid_utf8(std::string(generated)));
  std::string useful = useful_completion(lines, cut_short, place);
  bool closed = false;
  const bool several = useful.find('\n') != std::string::npos;
  if (several && !place.in_comment) {
    const SyntaxTreePtr with = syntax.tree_with(*tree, cursor, useful);
    const std::string_view kept = until_closed(useful, with.get(), cursor, place.before);
    closed = !is_blank(std::string_view(useful).substr(kept.size()));
    if (closed) useful = without_trailing_blanks(kept);
  }
  return {with_line_endings(text.line_ending(cursor), useful), closed};
}

}  // namespace hearth::lsp
