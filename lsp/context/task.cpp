// Tasks about code: what was meant by a selection, and the user turn that shows it to the model.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "lsp/context/context.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/context/surroundings.hpp"
#include "lsp/context/wording.hpp"
#include "lsp/document/indentation.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

struct TaskParts final : ContextPlan::Parts {
  std::int64_t room = 0;
  std::size_t system = 0;
  std::size_t header = 0;
  Surroundings beside;
  std::vector<ShownFile> attached;
  std::size_t cut_off = 0;  // stands for what is left out of one
  std::size_t label = 0;    // before the code where anything is above it
  std::size_t fence = 0;
  Pieces code;
  std::optional<std::size_t> gap;  // pieces before and after it do not adjoin: too long to count
  std::int64_t lines = 0;          // of all the code
  std::size_t marker = 0;          // the longest left_out() there can be
  std::string comment_begin;
  std::string comment_end;
  std::size_t fence_end = 0;
  std::size_t instruction = 0;
  std::string subject;

  Prompt fit(const Counts& counts) const override;
  std::vector<ContextPiece> pieces(const Counts& counts) const override;

 private:
  std::string cut(const Counts& counts, std::int64_t left) const;
  std::int64_t room_for_rest(const Counts& counts) const;
  std::int64_t room_for_code(const Counts& counts) const;
  std::vector<std::size_t> attached_ends(const Counts& counts) const;
  std::int64_t attached_tokens(const Counts& counts) const;
  bool is_whole(const Counts& counts) const;
  std::vector<const Section*> sections() const;
  std::vector<Choice> chosen(const Counts& counts) const;
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

std::int64_t TaskParts::room_for_rest(const Counts& counts) const {
  return room - counts[system] - counts[header] - counts[fence] - counts[fence_end] -
         counts[instruction];
}

// The code goes first, but leaves at least half of the room to what was attached to it.
std::vector<std::size_t> TaskParts::attached_ends(const Counts& counts) const {
  if (attached.empty()) return {};
  const std::int64_t rest = room_for_rest(counts) - counts[label];
  std::int64_t left = std::max(rest - total(counts, code), rest / 2);
  std::vector<Pieces> bodies;
  for (const ShownFile& file : attached) {
    left -= counts[file.open] + counts[file.close];
    bodies.push_back(file.lines);
  }
  return fair_ends(bodies, counts, left, cut_off);
}

std::int64_t TaskParts::attached_tokens(const Counts& counts) const {
  const std::vector<std::size_t> ends = attached_ends(counts);
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < attached.size(); ++i) {
    const ShownFile& file = attached[i];
    tokens += counts[file.open] + counts[file.close] + total(counts, {file.lines.begin, ends[i]});
    if (ends[i] < file.lines.end) tokens += counts[cut_off];
  }
  return tokens;
}

std::int64_t TaskParts::room_for_code(const Counts& counts) const {
  return room_for_rest(counts) - attached_tokens(counts);
}

bool TaskParts::is_whole(const Counts& counts) const {
  return !gap && total(counts, code) <= room_for_code(counts);
}

// In the order of the prompt.
std::vector<const Section*> TaskParts::sections() const {
  std::vector<const Section*> all;
  for (const auto* part : {&beside.project, &beside.above, &beside.below}) {
    for (const Section& section : *part) all.push_back(&section);
  }
  return all;
}

// By section: as much as fits beside the code, nothing where that does not fit itself.
std::vector<Choice> TaskParts::chosen(const Counts& counts) const {
  const std::int64_t left =
      is_whole(counts) ? room_for_code(counts) - total(counts, code) - counts[label] : 0;
  return choose(sections(), counts, room, left);
}

Prompt TaskParts::fit(const Counts& counts) const {
  const std::vector<Choice> choices = chosen(counts);
  Message user{Role::user, {}};
  std::size_t next = 0;
  const auto add = [&](const std::vector<Section>& part, bool boundary) {
    bool any = false;
    for (const Section& section : part) {
      std::string text = text_of(section, choices[next++], counts);
      if (text.empty()) continue;
      user.segments.push_back({std::move(text), section.provenance, boundary, section.why});
      any = true;
    }
    return any;
  };
  add(beside.project, true);
  const std::vector<std::size_t> ends = attached_ends(counts);
  for (std::size_t i = 0; i < attached.size(); ++i) {
    user.segments.push_back(
        {text_of(attached[i], counts, ends[i], cut_off), Provenance::attached, true, {}});
  }
  user.segments.push_back({counts.text(header), Provenance::file, false});
  std::string shown = add(beside.above, true) ? counts.text(label) : "";
  shown += counts.text(fence);
  shown += is_whole(counts) ? joined(counts, code) : cut(counts, room_for_code(counts));
  shown += counts.text(fence_end);
  user.segments.push_back({std::move(shown), Provenance::selection, true});
  add(beside.below, false);
  user.segments.push_back({counts.text(instruction), Provenance::instruction, false});
  Message system_line{Role::system, {{counts.text(system), Provenance::system, true}}};
  return {Prompt::Kind::chat, {std::move(system_line), std::move(user)}, {}, {}};
}

std::vector<ContextPiece> TaskParts::pieces(const Counts& counts) const {
  const std::vector<Choice> choices = chosen(counts);
  std::vector<ContextPiece> shown;
  std::vector<ContextPiece> not_shown;
  std::size_t next = 0;
  const auto add = [&](const std::vector<Section>& part) {
    for (const Section& section : part) {
      const Choice& choice = choices[next++];
      for (std::size_t i = 0; i < section.candidates.size(); ++i) {
        const Candidate& candidate = section.candidates[i];
        const std::string& reason = choice.left_out[i];
        (reason.empty() ? shown : not_shown)
            .push_back({section.provenance, candidate.title, candidate.why, reason,
                        counts[candidate.text]});
      }
    }
  };
  shown.push_back({Provenance::system, "system line", "the model's own", "", counts[system]});
  add(beside.project);
  const std::vector<std::size_t> ends = attached_ends(counts);
  for (std::size_t i = 0; i < attached.size(); ++i) {
    const ShownFile& file = attached[i];
    const bool all = ends[i] == file.lines.end;
    (all ? shown : not_shown)
        .push_back({Provenance::attached, file.path, file.why,
                    all ? "" : "it is long: its end is not shown", total(counts, file.lines)});
  }
  shown.push_back({Provenance::file, "the file's name", "where the code is", "", counts[header]});
  add(beside.above);
  const bool whole = is_whole(counts);
  shown.push_back({Provenance::selection, subject, "what is asked about",
                   whole ? "" : "its middle does not fit",
                   whole ? total(counts, code) : room_for_code(counts)});
  add(beside.below);
  shown.push_back({Provenance::instruction, "the task", "what is asked", "", counts[instruction]});
  shown.insert(shown.end(), not_shown.begin(), not_shown.end());
  return shown;
}

std::string_view line_at(const Text& text, std::size_t index) {
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
  while (first < last && is_blank(line_at(text, first))) ++first;
  while (last > first && is_blank(line_at(text, last))) --last;
  std::string subject = file + (first == last ? ", line " : ", lines ") + std::to_string(first + 1);
  if (first != last) subject.append(" to ").append(std::to_string(last + 1));
  return {{text.line_range(first).begin, text.line_end(last)}, std::move(subject)};
}

// The lines without a blank one around `place`, or the next ones below or above.
Code paragraph(const Text& text, Byte place, const std::string& file) {
  const std::size_t end = text.lines();
  std::size_t at = text.line_of(place);
  while (at + 1 < end && is_blank(line_at(text, at))) ++at;
  while (at > 0 && is_blank(line_at(text, at))) --at;
  std::size_t first = at;
  while (first > 0 && !is_blank(line_at(text, first - 1))) --first;
  std::size_t last = at;
  while (last + 1 < end && !is_blank(line_at(text, last + 1))) ++last;
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

// The code's lines, each with '\n', without the indentation of their surroundings: a declaration's
// is that of its first line, other lines' is what they share.
std::string dedented(const Text& text, const Code& code) {
  const std::size_t first = text.line_of(code.range.begin);
  const std::size_t last = text.line_of(code.range.end);
  std::string_view outer = indentation(line_at(text, first));
  for (std::size_t i = first + 1; i <= last && !code.declared; ++i) {
    if (is_blank(line_at(text, i))) continue;
    const std::string_view here = indentation(line_at(text, i));
    const auto same = std::ranges::mismatch(outer, here).in1;
    outer = outer.substr(0, static_cast<std::size_t>(same - outer.begin()));
  }
  std::string result;
  for (std::size_t i = first; i <= last; ++i) {
    std::string_view here = line_at(text, i);
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

// What it says about them itself is not said twice.
bool mentions_diagnostics(const Wording& wording) {
  return wording.text.find("{diagnostics}") != std::string::npos ||
         wording.text.find("{problem}") != std::string::npos;
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
  if (is_secret(snapshot->uri) && !input.secrets_allowed) {
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
  if (profile.surroundings) {
    parts->beside = find_surroundings(input, *tree, code.range, name, max_bytes,
                                      !mentions_diagnostics(wording), plan.texts_);
  }
  for (const PinnedText& file : input.attached)
    parts->attached.push_back(shown_file(file, "attached by the person", plan.texts_));
  if (!input.attached.empty()) parts->cut_off = add(rest_left_out);
  parts->subject = code.subject;
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
