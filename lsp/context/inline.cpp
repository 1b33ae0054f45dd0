// Inline completion: the text around the cursor, begun where it can stay while a person types.
#include <algorithm>
#include <optional>

#include "lsp/context/context.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// A place where the prefix may begin: `piece` is the first text from there.
struct Anchor {
  std::size_t piece = 0;
  Byte place;
};

struct InlineParts final : ContextPlan::Parts {
  std::int64_t room = 0;  // prefix and suffix together
  std::int64_t prefix_room = 0;
  std::int64_t suffix_room = 0;
  std::optional<std::size_t> imports;  // shown where the prefix begins after them
  Byte imports_end;
  Pieces before;                // up to the start of the cursor's line
  Pieces line;                  // from there to the cursor
  Pieces after;                 // from the cursor
  std::vector<Anchor> anchors;  // in `before`, from its start on

  Prompt fit(const Counts& counts) const override;

 private:
  // The earliest start from which all of the prefix fits.
  Anchor start(const Counts& counts, std::int64_t limit) const;
};

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
  Pieces suffix{after.begin, after.begin};
  for (std::int64_t left = suffix_room; suffix.end < after.end; ++suffix.end) {
    left -= counts[suffix.end];
    if (left < 0) break;
  }
  const std::int64_t limit = std::min(prefix_room, room - total(counts, suffix));

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
  add(prompt.suffix, joined(counts, suffix), Provenance::file, false);
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

}  // namespace

ContextPlan plan_inline(const Syntax& syntax, const SnapshotPtr& snapshot, Byte cursor,
                        const ModelProfile& profile, std::int64_t answer_tokens) {
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
  parts->room = std::max<std::int64_t>(profile.context_tokens - answer_tokens - template_tokens, 0);
  parts->prefix_room = profile.fim_prefix_tokens;
  parts->suffix_room = std::min(profile.fim_suffix_tokens, parts->room / 4);

  const std::size_t current = text.line_of(cursor);
  const auto prefix_tokens = static_cast<std::size_t>(profile.fim_prefix_tokens);
  const std::size_t reach = prefix_tokens * max_bytes_per_token;
  const Byte from{character_start(text.str(), cursor.value - std::min(cursor.value, reach))};
  const std::size_t first = from.value == 0 ? 0 : std::min(text.line_of(from) + 1, current);
  add_before(text, first, current, prefix_tokens / 2 + 1, *parts, plan.texts_);

  const Byte line_start = std::min(cursor, std::max(text.line_range(current).begin, from));
  parts->line = add_pieces(text.view({line_start, cursor}), plan.texts_);
  const std::size_t ahead = static_cast<std::size_t>(parts->suffix_room) * max_bytes_per_token;
  const Byte until{character_start(text.str(), cursor.value + ahead)};
  parts->after = add_pieces(with_newlines(text, {cursor, until}), plan.texts_);

  if (profile.surroundings) {
    const std::vector<ByteRange> imports = syntax.tree(snapshot)->imports();
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
