// Inline completion: the text around the cursor, begun and ended where it can stay while a person
// types.
#include <algorithm>
#include <optional>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/context/reading.hpp"
#include "lsp/document/indentation.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// A place where the prefix may begin: `piece` is the first text from there.
struct Anchor {
  std::size_t piece = 0;
  Byte place;
};

// A place where the suffix may end: before text number `piece`.
struct Cut {
  std::size_t piece = 0;
  int depth = 0;  // of the node that ends there
};

struct InlineParts final : ContextPlan::Parts {
  std::int64_t room = 0;  // prefix and suffix together
  std::int64_t prefix_room = 0;
  std::int64_t suffix_room = 0;
  std::int64_t new_suffix_room = 0;    // where its end is chosen anew: it is to stay a while
  bool suffix_last = false;            // it is read at each keystroke
  std::optional<std::size_t> imports;  // shown where the prefix begins after them
  Byte imports_end;
  Pieces before;                        // up to the start of the cursor's line
  Pieces line;                          // from there to the cursor
  Pieces after;                         // from the cursor
  bool to_the_end = false;              // `after` has all of the document
  std::vector<Cut> cuts;                // in `after`
  std::optional<std::size_t> kept_end;  // of the suffix; a piece
  std::vector<Anchor> anchors;          // in `before`, from its start on

  Prompt fit(const Counts& counts) const override;

 private:
  // The earliest start from which all of the prefix fits.
  Anchor start(const Counts& counts, std::int64_t limit) const;
  Pieces suffix(const Counts& counts) const;
};

// As much of `pieces` as `limit` tokens hold.
Pieces first_tokens(const Counts& counts, Pieces pieces, std::int64_t limit) {
  Pieces first{pieces.begin, pieces.begin};
  for (std::int64_t left = limit; first.end < pieces.end; ++first.end) {
    left -= counts[first.end];
    if (left < 0) break;
  }
  return first;
}

// To where it ended before, if it can be read so far; else to the end of the outermost node that
// ends in what can be read, but for its first quarter; else of any node, else of a line.
Pieces InlineParts::suffix(const Counts& counts) const {
  if (kept_end && first_tokens(counts, after, suffix_room).end >= *kept_end) {
    return {after.begin, *kept_end};
  }
  std::int64_t limit = new_suffix_room;
  if (suffix_last) {
    const std::int64_t shown_before =
        std::min(total(counts, before) + total(counts, line), prefix_room);
    limit = std::min(limit, proportionate_suffix(shown_before));
  }
  const Pieces most = first_tokens(counts, after, limit);
  if (to_the_end && most.end == after.end) return most;
  const std::size_t near = first_tokens(counts, after, limit / 4).end;
  const Cut* best = nullptr;
  for (const Cut& cut : cuts) {
    if (cut.piece > most.end) break;
    const bool in_near = best == nullptr || best->piece <= near;
    if (in_near || cut.depth <= best->depth) best = &cut;
  }
  return best == nullptr ? most : Pieces{after.begin, best->piece};
}

Anchor InlineParts::start(const Counts& counts, std::int64_t limit) const {
  std::int64_t sum = total(counts, line);
  std::size_t piece = before.end;
  while (piece > before.begin && sum + counts[piece - 1] <= limit) sum += counts[--piece];
  const auto anchor = std::ranges::find_if(
      anchors, [&](const Anchor& candidate) { return candidate.piece >= piece; });
  // No anchor is near: lines of enormous length. Then as much as fits.
  return anchor != anchors.end() ? *anchor : Anchor{piece, imports_end};
}

Prompt InlineParts::fit(const Counts& counts) const {
  const Pieces behind = suffix(counts);
  const std::int64_t limit = std::min(prefix_room, room - total(counts, behind));

  Anchor from = start(counts, limit);
  bool show_imports = imports && from.place > imports_end && counts[*imports] <= limit / 8;
  if (show_imports) from = start(counts, limit - counts[*imports]);
  Pieces current = line;
  for (std::int64_t sum = total(counts, line); sum > limit; sum -= counts[current.begin++]) {
    show_imports = false;
  }

  Prompt prompt{
      .kind = Prompt::Kind::fill_in_the_middle, .messages = {}, .prefix = {}, .suffix = {}};
  const auto add = [&](std::vector<Segment>& segments, std::string text, Provenance provenance,
                       bool boundary) {
    if (!text.empty()) segments.push_back({std::move(text), provenance, boundary});
  };
  if (show_imports) add(prompt.prefix, counts.text(*imports), Provenance::imports, true);
  add(prompt.prefix, joined(counts, {from.piece, before.end}), Provenance::file, true);
  add(prompt.prefix, joined(counts, current), Provenance::file, false);
  add(prompt.suffix, joined(counts, behind), Provenance::file, false);
  return prompt;
}

// A line that begins a paragraph at the left margin: most often a declaration at top level. Told
// from the text alone, because a tree changes far and wide while code is being typed.
bool begins_block(const Text& text, std::size_t line) {
  const std::string_view here = text.view(text.line_range(line));
  if (here.empty() || std::string_view(" \t})]").find(here.front()) != here.npos) return false;
  if (line == 0) return true;
  return is_blank(text.view(text.line_range(line - 1)));
}

bool is_blank_line(const Text& text, std::size_t line) {
  return is_blank(text.view(text.line_range(line)));
}

// Adds the lines [first, last) and notes anchors: the document's start, and one line in each stride
// of its bytes, so that they do not depend on where the cursor is.
void add_before(const Text& text, std::size_t first, std::size_t last, std::size_t stride,
                InlineParts& parts, std::vector<std::string>& texts) {
  parts.before = {texts.size(), texts.size()};
  std::size_t last_stride = text.line_start(first).value / stride;
  bool at_block = true;
  if (first == 0) parts.anchors.push_back({texts.size(), {0}});
  for (std::size_t line = first; line < last;) {
    const std::size_t begin = line++;
    while (line < last && is_blank_line(text, line)) ++line;
    const Byte place = text.line_start(begin);
    const std::size_t this_stride = place.value / stride;
    const bool block = begins_block(text, begin);
    if (this_stride != last_stride && !is_blank_line(text, begin)) {
      parts.anchors.push_back({texts.size(), place});
      at_block = block;
      last_stride = this_stride;
    } else if (block && !at_block) {
      parts.anchors.back() = {texts.size(), place};
      at_block = true;
    }
    add_pieces(with_newlines(text, {place, text.line_start(line)}), texts);
  }
  parts.before.end = texts.size();
}

// What ends where in the text behind the cursor, told from its indentation: blank lines part
// paragraphs, and the further left the next one begins the more ends before it.
std::vector<NodeEnd> paragraph_ends(const Text& text, ByteRange within) {
  std::vector<NodeEnd> ends;
  for (std::size_t line = text.line_of(within.begin) + 1; line < text.lines(); ++line) {
    const Byte begin = text.line_start(line);
    if (begin > within.end) break;
    if (is_blank_line(text, line) || !is_blank_line(text, line - 1)) continue;
    const auto depth = indentation_width(text.view(text.line_range(line)));
    ends.push_back({begin, static_cast<int>(depth)});
  }
  return ends;
}

// Adds the text behind the cursor, and notes where it may be cut.
void add_after(const Text& text, ByteRange range, const SyntaxTree& tree,
               std::optional<Byte> kept_end, InlineParts& parts, std::vector<std::string>& texts) {
  std::vector<NodeEnd> ends = tree.node_ends(range);
  if (!tree.parsed()) ends = paragraph_ends(text, range);
  parts.after = {texts.size(), texts.size()};
  parts.to_the_end = range.end.value == text.str().size();
  Byte from = range.begin;
  const auto add_to = [&](Byte to) {
    add_pieces(with_newlines(text, {from, to}), texts);
    from = to;
  };
  for (const NodeEnd& node : ends) {
    if (node.end <= from || node.end > range.end) continue;
    if (kept_end && *kept_end > from && *kept_end < node.end) {
      add_to(*kept_end);
      parts.kept_end = texts.size();
    }
    add_to(node.end);
    parts.cuts.push_back({texts.size(), node.depth});
    if (kept_end == node.end) parts.kept_end = texts.size();
  }
  if (kept_end && *kept_end > from && *kept_end <= range.end) {
    add_to(*kept_end);
    parts.kept_end = texts.size();
  }
  add_to(range.end);
  parts.after.end = texts.size();
}

// The node around the cursor and the suffix's end, moved to the text as it is now; nothing where
// the cursor has left the node, or the text outside of it has changed.
std::optional<SuffixEnd> still_there(const SuffixEnd& last, const SnapshotPtr& now, Byte cursor) {
  if (!last.snapshot || last.snapshot->uri != now->uri) return std::nullopt;
  const std::string_view before = last.snapshot->text->str();
  const std::string_view after = now->text->str();
  const std::size_t same_from = std::min(last.node.end, last.end).value;
  const std::size_t behind = before.size() - same_from;
  const std::size_t begin = last.node.begin.value;
  if (after.size() < begin + behind) return std::nullopt;
  const bool same = after.substr(0, begin) == before.substr(0, begin) &&
                    after.substr(after.size() - behind) == before.substr(same_from);
  const auto moved = [&](Byte place) { return Byte{after.size() - (before.size() - place.value)}; };
  const ByteRange node{last.node.begin, moved(last.node.end)};
  const Byte end = moved(last.end);
  const bool inside = cursor >= node.begin && cursor <= node.end && cursor <= end;
  if (!same || !inside) return std::nullopt;
  return SuffixEnd{now, node, end};
}

// The declaration or statement around the cursor; its line where there is none.
ByteRange node_around(const SyntaxTree& tree, const Text& text, Byte cursor) {
  if (const auto declaration = tree.enclosing({cursor, cursor})) return declaration->range;
  if (const auto statement = tree.statement(cursor)) return *statement;
  return text.line_range(text.line_of(cursor));
}

}  // namespace

SuffixEnd ContextPlan::suffix_end(const Prompt& prompt) const {
  if (!snapshot_) return {};
  const Text& text = *snapshot_->text;
  const std::string shown = text_of(prompt.suffix);
  const std::size_t last_line = shown.rfind('\n');
  Byte end{range_.begin.value + shown.size()};
  if (last_line != std::string::npos) {
    const auto lines = static_cast<std::size_t>(std::ranges::count(shown, '\n'));
    end = text.line_start(text.line_of(range_.begin) + lines);
    end.value += shown.size() - last_line - 1;
  }
  return {snapshot_, node_, end};
}

ContextPlan plan_inline(const Syntax& syntax, const SnapshotPtr& snapshot, Byte cursor,
                        const ModelProfile& profile, const InlineReading& reading) {
  ContextPlan plan;
  const Text& text = *snapshot->text;
  cursor.value = std::min(cursor.value, text.str().size());
  plan.range_ = {cursor, cursor};
  plan.subject_ = display_path(snapshot->uri, {});
  if (is_secret(snapshot->uri)) {
    plan.refused_ = secret_refusal(snapshot->uri);
    return plan;
  }
  if (profile.fim_prefix_tokens <= 0) {
    plan.refused_ = "The model " + profile.name + " was not trained to complete code.";
    return plan;
  }

  auto parts = std::make_shared<InlineParts>();
  parts->room =
      std::max<std::int64_t>(profile.context_tokens - reading.answer_tokens - template_tokens, 0);
  parts->prefix_room = profile.fim_prefix_tokens;
  parts->suffix_last = profile.fim_order == FimOrder::prefix_first;
  const std::int64_t affordable = suffix_tokens(profile, reading.max_read);
  parts->suffix_room = std::min(affordable, parts->room / 4);
  // A measured speed varies: what is chosen by it has some room to stay in.
  const bool by_speed = affordable < profile.fim_suffix_tokens;
  parts->new_suffix_room = by_speed ? parts->suffix_room * 3 / 4 : parts->suffix_room;

  const std::size_t current = text.line_of(cursor);
  const auto prefix_tokens = static_cast<std::size_t>(profile.fim_prefix_tokens);
  const std::size_t reach = prefix_tokens * max_bytes_per_token;
  const Byte from{character_start(text.str(), cursor.value - std::min(cursor.value, reach))};
  const std::size_t first = from.value == 0 ? 0 : std::min(text.line_of(from) + 1, current);
  add_before(text, first, current, prefix_tokens / 2 + 1, *parts, plan.texts_);

  const Byte line_start = std::min(cursor, std::max(text.line_range(current).begin, from));
  parts->line = add_pieces(text.view({line_start, cursor}), plan.texts_);
  const SyntaxTreePtr tree = syntax.tree(snapshot);
  const std::size_t ahead = static_cast<std::size_t>(parts->suffix_room) * max_bytes_per_token;
  const Byte until{character_start(text.str(), cursor.value + ahead)};
  const auto kept = still_there(reading.last, snapshot, cursor);
  plan.snapshot_ = snapshot;
  plan.node_ = kept ? kept->node : node_around(*tree, text, cursor);
  add_after(text, {cursor, until}, *tree, kept ? std::optional(kept->end) : std::nullopt, *parts,
            plan.texts_);

  if (profile.surroundings) {
    const std::vector<ByteRange> imports = tree->imports();
    if (!imports.empty() && imports.back().end < line_start) {
      parts->imports = plan.texts_.size();
      parts->imports_end = imports.back().end;
      plan.texts_.push_back(import_lines(text, imports) + '\n');
    }
  }
  plan.parts_ = std::move(parts);
  return plan;
}

}  // namespace hearth::lsp
