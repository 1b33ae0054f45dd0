// What the planners share.
#include "lsp/context/context.hpp"

#include <algorithm>

#include "lsp/context/parts.hpp"
#include "lsp/context/secret_lines.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t longest_piece = 512;  // bytes

// At most longest_piece bytes, to after its line's end, else before a space, else before a
// character.
std::size_t first_piece(std::string_view text) {
  const std::size_t newline = text.find('\n');
  const std::size_t line = newline == text.npos ? text.size() : newline + 1;
  if (line <= longest_piece) return line;
  if (const std::size_t space = text.rfind(' ', longest_piece); space != text.npos && space > 0) {
    return space;
  }
  return character_start(text, longest_piece);
}

}  // namespace

Prompt ContextPlan::fit(std::span<const std::int64_t> counts) const {
  return parts_ ? parts_->fit(Counts(texts_, counts)) : Prompt{};
}

std::vector<ContextPiece> ContextPlan::pieces(std::span<const std::int64_t> counts) const {
  return parts_ ? parts_->pieces(Counts(texts_, counts)) : std::vector<ContextPiece>{};
}

std::int64_t total(const Counts& counts, Pieces pieces) {
  std::int64_t sum = 0;
  for (std::size_t i = pieces.begin; i < pieces.end; ++i) sum += counts[i];
  return sum;
}

std::string joined(const Counts& counts, Pieces pieces) {
  std::string text;
  for (std::size_t i = pieces.begin; i < pieces.end; ++i) text += counts.text(i);
  return text;
}

Pieces add_pieces(std::string_view text, std::vector<std::string>& texts) {
  Pieces pieces{texts.size(), texts.size()};
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, first_piece(text));
    text.remove_prefix(piece.size());
    const bool joins = is_blank(piece) && texts.size() > pieces.begin &&
                       texts.back().ends_with('\n') && texts.back().size() < longest_piece;
    if (joins) {
      texts.back() += piece;
    } else {
      texts.emplace_back(piece);
    }
  }
  pieces.end = texts.size();
  return pieces;
}

std::string with_newlines(const Text& text, ByteRange range) {
  std::string result;
  result.reserve(range.end.value - range.begin.value);
  const std::size_t last = text.line_of(range.end);
  for (std::size_t line = text.line_of(range.begin); line <= last; ++line) {
    const Byte begin = std::max(text.line_range(line).begin, range.begin);
    const Byte end = std::min(text.line_end(line), range.end);
    if (begin < end) result += text.view({begin, end});
    if (line < last) result += '\n';
  }
  return result;
}

std::string import_lines(const Text& text, std::span<const ByteRange> imports) {
  std::string lines;
  for (const ByteRange& import : imports) lines += with_newlines(text, import) + '\n';
  return lines;
}

std::string signature_line(const Text& text, ByteRange signature) {
  std::string line;
  for (const char c : text.view(signature)) {
    const bool blank = blanks.find(c) != blanks.npos;
    if (!blank || (!line.empty() && line.back() != ' ')) line += blank ? ' ' : c;
  }
  line.resize(line.find_last_not_of(" {:=;") + 1);  // npos + 1 is 0
  return line;
}

std::vector<std::size_t> fair_ends(std::span<const Pieces> all, const Counts& counts,
                                   std::int64_t left, std::size_t cut) {
  std::vector<std::size_t> order(all.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](std::size_t text) { return total(counts, all[text]); });
  std::vector<std::size_t> ends(all.size());
  std::size_t unserved = all.size();
  for (const std::size_t text : order) {
    const Pieces pieces = all[text];
    std::int64_t share = std::max<std::int64_t>(left, 0) / static_cast<std::int64_t>(unserved--);
    std::size_t end = pieces.begin;
    const bool whole = total(counts, pieces) <= share;
    if (!whole) share -= counts[cut];
    for (std::int64_t used = 0; end < pieces.end && used + counts[end] <= share; ++end) {
      used += counts[end];
      left -= counts[end];
    }
    if (!whole) left -= counts[cut];
    ends[text] = end;
  }
  return ends;
}

ShownFile shown_file(const PinnedText& file, std::string why, std::vector<std::string>& texts) {
  std::string text = without_secrets(file.text, "", "");
  if (!text.ends_with('\n')) text += '\n';
  const std::string fence = fence_for(text);
  const auto add = [&texts](std::string added) {
    texts.push_back(std::move(added));
    return texts.size() - 1;
  };
  ShownFile shown;
  shown.path = file.path;
  shown.why = std::move(why);
  shown.open = add(file.path + ":\n\n" + fence + file.language + "\n");
  shown.lines = add_pieces(text, texts);
  shown.close = add(fence + "\n\n");
  return shown;
}

std::string text_of(const ShownFile& file, const Counts& counts, std::size_t end, std::size_t cut) {
  std::string text = counts.text(file.open) + joined(counts, {file.lines.begin, end});
  if (end < file.lines.end) text += counts.text(cut);
  return text + counts.text(file.close);
}

std::string fence_for(std::string_view text) {
  std::size_t longest = 2;
  std::size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return std::string(longest + 1, '`');
}

std::string fenced(std::string_view title, std::string_view name, const std::string& text) {
  const std::string fence = fence_for(text);
  return std::string(title) + "\n\n" + fence + std::string(name) + "\n" + text + fence + "\n\n";
}

std::string secret_refusal(std::string_view uri) {
  return display_path(uri, {}) + " looks like a file of secrets: it is not shown to the model.";
}

}  // namespace hearth::lsp
