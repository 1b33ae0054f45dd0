// Tasks about code: what was meant by a selection, and the user turn that shows it to the model.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "lsp/context/context.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/context/wording.hpp"
#include "lsp/document/indentation.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// Outline and imports may each take this part of the prompt.
constexpr std::int64_t surroundings_share = 8;

struct TaskParts final : ContextPlan::Parts {
  std::int64_t room = 0;
  std::size_t system = 0;
  std::size_t header = 0;
  std::vector<std::size_t> outlines;   // the fuller one first; empty: none is shown
  std::optional<std::size_t> imports;  // empty: none is shown
  std::size_t label = 0;               // before the code where anything is above it
  std::size_t fence = 0;
  Pieces code;
  std::optional<std::size_t> gap;  // pieces before and after it do not adjoin: too long to count
  std::int64_t lines = 0;          // of all the code
  std::size_t marker = 0;          // the longest left_out() there can be
  std::string comment_begin;
  std::string comment_end;
  std::size_t fence_end = 0;
  std::size_t instruction = 0;

  Prompt fit(const Counts& counts) const override;

 private:
  std::string cut(const Counts& counts, std::int64_t left) const;
};

std::string left_out(std::int64_t lines, std::string_view begin, std::string_view end) {
  const std::string text =
      fmt::format("... {} {} left out ...", lines, lines == 1 ? "line" : "lines");
  if (begin.empty()) return fmt::format("[{}]\n", text);
  return fmt::format("{} {}{}{}\n", begin, text, end.empty() ? "" : " ", end);
}

std::int64_t count_lines(std::string_view text) {
  return std::ranges::count(text, '\n');
}

// The code's beginning and end with a comment in between, within `left` tokens.
std::string TaskParts::cut(const Counts& counts, std::int64_t left) const {
  left -= counts[marker];
  const std::int64_t for_the_end = left / 3;
  Pieces head{code.begin, code.begin};
  std::int64_t used = 0;
  while (head.end < gap.value_or(code.end) && used + counts[head.end] <= left - for_the_end) {
    used += counts[head.end++];
  }
  Pieces tail{code.end, code.end};
  while (tail.begin > gap.value_or(head.end) && used + counts[tail.begin - 1] <= left) {
    used += counts[--tail.begin];
  }
  std::string text = joined(counts, head);
  const std::string end = joined(counts, tail);
  const std::int64_t missing = lines - count_lines(text) - count_lines(end);
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text + left_out(std::max<std::int64_t>(missing, 1), comment_begin, comment_end) + end;
}

Prompt TaskParts::fit(const Counts& counts) const {
  std::int64_t left = room - counts[system] - counts[header] - counts[fence] - counts[fence_end] -
                      counts[instruction];
  const std::int64_t needed = total(counts, code);
  const std::int64_t share = room / surroundings_share;

  // What is above the code: as much as fits beside it, the outline before the imports.
  std::int64_t beside = gap ? 0 : left - needed - counts[label];
  const auto fits = [&](std::size_t text) {
    return counts[text] <= share && counts[text] <= beside;
  };
  std::vector<std::pair<std::size_t, Provenance>> above;
  if (const auto outline = std::ranges::find_if(outlines, fits); outline != outlines.end()) {
    above.emplace_back(*outline, Provenance::outline);
    beside -= counts[*outline];
  }
  if (imports && fits(*imports)) above.emplace_back(*imports, Provenance::imports);

  Message system_line{Role::system, {{counts.text(system), Provenance::system, true}}};
  Message user{Role::user, {{counts.text(header), Provenance::file, false}}};
  for (const auto& [text, provenance] : above) {
    user.segments.push_back({counts.text(text), provenance, true});
  }
  std::string shown = above.empty() ? "" : counts.text(label);
  shown += counts.text(fence);
  shown += !gap && needed <= left ? joined(counts, code) : cut(counts, left);
  shown += counts.text(fence_end);
  user.segments.push_back({std::move(shown), Provenance::selection, true});
  user.segments.push_back({counts.text(instruction), Provenance::instruction, false});
  return {Prompt::Kind::chat, {std::move(system_line), std::move(user)}, {}, {}};
}

std::string_view line(const Text& text, std::size_t index) {
  return text.view(text.line_range(index));
}

struct Code {
  ByteRange range;
  std::string subject;
  bool declared = false;
  std::string_view unit = "code";  // "function", "class"
};

std::string_view unit_of(const Declaration& declaration) {
  return declaration.kind == DeclarationRule::Kind::function ? "function" : "class";
}

// [first, last] without blank lines at their ends.
Code lines_of(const Text& text, std::size_t first, std::size_t last, const std::string& file) {
  while (first < last && is_blank(line(text, first))) ++first;
  while (last > first && is_blank(line(text, last))) --last;
  std::string subject = file + (first == last ? ", line " : ", lines ") + std::to_string(first + 1);
  if (first != last) subject.append(" to ").append(std::to_string(last + 1));
  return {{text.line_range(first).begin, text.line_end(last)}, std::move(subject)};
}

// The lines without a blank one around `place`, or the next ones below or above.
Code paragraph(const Text& text, Byte place, const std::string& file) {
  const std::size_t end = text.lines();
  std::size_t at = text.line_of(place);
  while (at + 1 < end && is_blank(line(text, at))) ++at;
  while (at > 0 && is_blank(line(text, at))) --at;
  std::size_t first = at;
  while (first > 0 && !is_blank(line(text, first - 1))) --first;
  std::size_t last = at;
  while (last + 1 < end && !is_blank(line(text, last + 1))) ++last;
  return lines_of(text, first, last, file);
}

Code meant(const SyntaxTree& tree, ByteRange selection, const std::string& file) {
  const Text& text = *tree.snapshot().text;
  if (const auto found = tree.enclosing(selection)) {
    return {found->range, found->name, true, unit_of(*found)};
  }
  if (!is_blank(text.view(selection))) {
    const ByteRange selected = on_text(text, selection);
    return lines_of(text, text.line_of(selected.begin), text.line_of({selected.end.value - 1}),
                    file);
  }
  if (const auto found = tree.statement(selection.begin)) {
    const std::size_t last = std::max(found->begin.value + 1, found->end.value) - 1;
    return lines_of(text, text.line_of(found->begin), text.line_of({last}), file);
  }
  return paragraph(text, selection.begin, file);
}

std::string_view indentation(std::string_view line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

// The code's lines, each with '\n', without the indentation of their surroundings: a declaration's
// is that of its first line, other lines' is what they share.
std::string dedented(const Text& text, const Code& code) {
  const std::size_t first = text.line_of(code.range.begin);
  const std::size_t last = text.line_of(code.range.end);
  std::string_view outer = indentation(line(text, first));
  for (std::size_t i = first + 1; i <= last && !code.declared; ++i) {
    if (is_blank(line(text, i))) continue;
    const std::string_view here = indentation(line(text, i));
    const auto same = std::ranges::mismatch(outer, here).in1;
    outer = outer.substr(0, static_cast<std::size_t>(same - outer.begin()));
  }
  std::string result;
  for (std::size_t i = first; i <= last; ++i) {
    std::string_view here = line(text, i);
    if (i == last) here = here.substr(0, code.range.end.value - text.line_range(i).begin.value);
    const std::size_t before = code.range.begin.value - text.line_range(first).begin.value;
    if (i == first && before > indentation(here).size()) {
      here.remove_prefix(before);
    } else if (here.starts_with(outer)) {
      here.remove_prefix(outer.size());
    }
    if (!is_blank(here)) result += here;
    result += '\n';
  }
  return result;
}

// Backticks that the text does not hold as many of in a row.
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

// One line for each declaration, its signature.
std::string outline_lines(const Text& text, std::span<const Declaration> outline, int deepest) {
  std::string lines;
  for (const Declaration& declaration : outline) {
    if (declaration.depth > deepest) continue;
    lines += std::string(static_cast<std::size_t>(declaration.depth) * 2, ' ') +
             signature_line(text, declaration.signature) + '\n';
  }
  return lines;
}

void add_surroundings(const SyntaxTree& tree, std::string_view name, std::size_t max_bytes,
                      TaskParts& parts, std::vector<std::string>& texts) {
  const Text& text = *tree.snapshot().text;
  const auto add = [&](std::string_view title, const std::string& lines) {
    texts.push_back(fenced(title, name, lines));
    return texts.size() - 1;
  };
  const std::vector<Declaration> outline = tree.outline();
  if (outline.size() > 1) {
    for (const int deepest : {1, 0}) {
      const std::string lines = outline_lines(text, outline, deepest);
      if (lines.size() > max_bytes) continue;
      parts.outlines.push_back(add("Outline of the file:", lines));
    }
  }
  const std::string imports = import_lines(text, tree.imports());
  if (!imports.empty() && imports.size() <= max_bytes) {
    parts.imports = add("Its imports:", imports);
  }
}

}  // namespace

ContextPlan plan_task(const TaskInput& input, const ModelProfile& profile, const Wording& wording) {
  ContextPlan plan;
  const SnapshotPtr& snapshot = input.snapshot;
  const Text& text = *snapshot->text;
  ByteRange selection = input.selection;
  selection.begin.value = std::min(selection.begin.value, text.str().size());
  selection.end = std::clamp(selection.end, selection.begin, Byte{text.str().size()});
  plan.range_ = selection;
  plan.subject_ = display_path(snapshot->uri, {});
  if (is_secret(snapshot->uri)) {
    plan.refused_ = secret_refusal(snapshot->uri);
  } else if (is_blank(text.view({text.begin(), Byte{text.str().size()}}))) {
    plan.refused_ = plan.subject_ + " is empty: there is nothing to ask about.";
  }
  if (!plan.refused_.empty()) return plan;

  const SyntaxTreePtr tree = input.syntax->tree(snapshot);
  const Code code = meant(*tree, selection, plan.subject_);
  plan.range_ = code.range;
  plan.subject_ = code.subject;

  auto parts = std::make_shared<TaskParts>();
  parts->room =
      std::max<std::int64_t>(profile.context_tokens - input.answer_tokens - template_tokens, 0);
  const std::size_t max_bytes = static_cast<std::size_t>(parts->room) * max_bytes_per_token;
  const auto add = [&](std::string added) {
    plan.texts_.push_back(std::move(added));
    return plan.texts_.size() - 1;
  };
  std::string name;
  if (tree->language()) {
    name = tree->language()->name;
    parts->comment_begin = tree->language()->comment_begin;
    parts->comment_end = tree->language()->comment_end;
  } else if (snapshot->language_id != "plaintext") {
    name = snapshot->language_id;
  }
  const std::string shown = dedented(text, code);
  const std::string fence = fence_for(shown);

  parts->system = add(profile.system_chat);
  const std::string path = display_path(snapshot->uri, input.folders);
  parts->header =
      add(std::string("File: ") + path + (name.empty() ? "" : " (" + name + ")") + "\n\n");
  if (profile.surroundings) add_surroundings(*tree, name, max_bytes, *parts, plan.texts_);
  parts->label = add("The code in question:\n\n");
  parts->fence = add(fence + name + "\n");
  parts->lines = count_lines(shown);
  if (shown.size() <= 2 * max_bytes) {
    parts->code = add_pieces(shown, plan.texts_);
  } else {
    const std::string_view all = shown;
    std::size_t head = all.rfind('\n', max_bytes) + 1;  // npos + 1 is 0
    if (head == 0) head = character_start(all, max_bytes);
    const std::size_t tail = all.find('\n', all.size() - max_bytes - 1) + 1;
    parts->code = add_pieces(all.substr(0, head), plan.texts_);
    parts->gap = parts->code.end;
    parts->code.end = add_pieces(all.substr(tail), plan.texts_).end;
  }
  parts->marker = add(left_out(parts->lines, parts->comment_begin, parts->comment_end));
  parts->fence_end = add(fence + "\n\n");
  try {
    parts->instruction = add(
        filled_in(wording, {{"diagnostics", diagnostic_lines(input.diagnostics, text, code.range)},
                            {"file", path},
                            {"instruction", input.instruction},
                            {"language", name},
                            {"problem", diagnostic_messages(input.diagnostics, code.range)},
                            {"subject", code.subject},
                            {"unit", std::string(code.unit)}}));
  } catch (const UnknownVariable& unknown) {
    plan.refused_ = unknown.what();
    plan.texts_.clear();
    return plan;
  }
  plan.parts_ = std::move(parts);
  return plan;
}

}  // namespace hearth::lsp
