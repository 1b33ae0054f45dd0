// The steps from an answer to edits, each in a file of its own.
#include "lsp/edits/assemble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "lsp/document/indentation.hpp"
#include "lsp/edits/answer.hpp"
#include "lsp/edits/fit.hpp"
#include "lsp/edits/hunks.hpp"
#include "lsp/edits/merge.hpp"
#include "lsp/edits/new_file.hpp"
#include "lsp/edits/target_lines.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_answer_bytes = std::size_t{4} << 20U;

struct Rewritten {
  std::vector<std::vector<LinesEdit>> targets;  // empty where nothing of it changes
  std::vector<FileEdit> new_files = {};
};
using Bases = std::vector<std::unique_ptr<TargetLines>>;

std::string text_of(const TargetLines& base) {
  std::string text;
  for (const std::string_view line : base.lines) text.append(line).append("\n");
  return text;
}

Refusal refuse_placeholder(std::string_view line) {
  return {Refusal::Kind::placeholder,
          fmt::format("the answer leaves code out: \"{}\"", line.substr(0, 200))};
}

Checked<Rewritten> rewrite_hunks(std::string_view answer, std::span<const Target> targets,
                                 const Bases& bases, std::string_view new_files_in) {
  Checked<std::vector<AnswerHunk>> read = read_hunks(answer);
  if (auto* refusal = std::get_if<Refusal>(&read)) return std::move(*refusal);
  auto& hunks = std::get<std::vector<AnswerHunk>>(read);
  std::vector<std::string> paths;
  std::vector<HunkTarget> places;
  CodeLines code;
  for (const Target& target : targets) paths.push_back(path_of(target.uri));
  for (std::size_t i = 0; i < targets.size(); ++i) {
    places.push_back({bases[i].get(), paths[i]});
    code.insert(code.end(), bases[i]->lines.begin(), bases[i]->lines.end());
  }
  for (const AnswerHunk& hunk : hunks) {
    if (const auto line = placeholder_in(hunk.lines, code); !line.empty()) {
      return refuse_placeholder(line);
    }
  }
  const auto proposed =
      std::stable_partition(hunks.begin(), hunks.end(), [&](const AnswerHunk& hunk) {
        return new_files_in.empty() || !is_whole_file(hunk) ||
               !targets_named(hunk.path, places).empty();
      });
  const std::string_view ending = bases.front()->text.line_ending(Byte{});
  Checked<std::vector<FileEdit>> made = new_files({proposed, hunks.end()}, new_files_in, ending);
  if (auto* refusal = std::get_if<Refusal>(&made)) return std::move(*refusal);
  Checked<std::vector<std::vector<LinesEdit>>> placed =
      place_hunks({hunks.begin(), proposed}, places);
  if (auto* refusal = std::get_if<Refusal>(&placed)) return std::move(*refusal);
  return Rewritten{std::get<std::vector<std::vector<LinesEdit>>>(std::move(placed)),
                   std::get<std::vector<FileEdit>>(std::move(made))};
}

// The lines that the code is inside of: those above it that are less and less indented.
CodeLines heads_around(const TargetLines& base) {
  CodeLines heads;
  std::size_t left = indentation_width(base.all[base.first]);
  for (std::size_t i = base.first; i-- > 0 && left > 0;) {
    if (is_blank(base.all[i]) || indentation_width(base.all[i]) >= left) continue;
    left = indentation_width(base.all[i]);
    heads.push_back(trimmed(base.all[i]));
  }
  return heads;
}

// `shown`: the code of all targets.
Checked<Rewritten> rewrite_whole(std::string_view answer, std::string_view shown,
                                 std::span<const Target> targets, const Bases& bases) {
  // The form is clear where it is not the one that was asked for.
  if (has_hunks(answer) && !has_hunks(shown)) return rewrite_hunks(answer, targets, bases, {});
  const TargetLines& base = *bases.front();
  Checked<CodeLines> code = read_whole_code(answer, base.lines);
  if (auto* refusal = std::get_if<Refusal>(&code)) return std::move(*refusal);
  const CodeLines& lines = std::get<CodeLines>(code);
  if (const auto line = placeholder_in(lines, base.lines); !line.empty()) {
    return refuse_placeholder(line);
  }
  const std::string_view first = trimmed(lines.front());
  const auto is_first = [&](std::string_view line) { return trimmed(line) == first; };
  if (has_word(first) && std::ranges::any_of(heads_around(base), is_first) &&
      std::ranges::none_of(base.lines, is_first)) {
    return Refusal{Refusal::Kind::no_code,
                   "the answer repeats code from around the code in question"};
  }
  Checked<LinesEdit> edit = fit_whole(base, lines);
  if (auto* refusal = std::get_if<Refusal>(&edit)) return std::move(*refusal);
  Rewritten rewritten{std::vector<std::vector<LinesEdit>>(bases.size())};
  rewritten.targets.front().push_back(std::get<LinesEdit>(std::move(edit)));
  return rewritten;
}

}  // namespace

std::string edited(std::string_view text, std::span<const TextEdit> edits) {
  std::string result;
  std::size_t at = 0;
  for (const TextEdit& edit : edits) {
    result.append(text.substr(at, edit.range.begin.value - at)).append(edit.text);
    at = edit.range.end.value;
  }
  return result.append(text.substr(at));
}

std::string form_wording(AnswerForm form, bool new_files) {
  if (form == AnswerForm::whole_code) return std::string(whole_code_wording);
  return std::string(hunks_wording).append(new_files ? new_file_wording : "");
}

Checked<std::vector<FileEdit>> assemble(AnswerForm form, std::string_view answer, bool finished,
                                        std::span<const Target> targets,
                                        const FindSnapshot& find_snapshot,
                                        std::string_view new_files_in) {
  using Kind = Refusal::Kind;
  if (!finished) return Refusal{Kind::unfinished, "the answer was cut before its end"};
  if (targets.empty()) return Refusal{Kind::no_code, "there is no code that it could be about"};
  if (answer.size() > max_answer_bytes) return Refusal{Kind::too_large, "the answer is too long"};
  if (!is_valid_utf8(answer)) return Refusal{Kind::no_code, "the answer is not valid text"};

  Bases bases;
  std::string code;
  for (const Target& target : targets) {
    bases.push_back(std::make_unique<TargetLines>(target));
    code += text_of(*bases.back());
  }
  Checked<std::string_view> said = without_thought(answer, code);
  if (auto* refusal = std::get_if<Refusal>(&said)) return std::move(*refusal);
  auto text = std::get<std::string_view>(said);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Checked<Rewritten> rewritten = form == AnswerForm::whole_code
                                     ? rewrite_whole(text, code, targets, bases)
                                     : rewrite_hunks(text, targets, bases, new_files_in);
  if (auto* refusal = std::get_if<Refusal>(&rewritten)) return std::move(*refusal);

  std::vector<FileEdit> files = std::get<Rewritten>(rewritten).new_files;
  Refusal unchanged{Kind::unchanged, "the answer is the code as it is: nothing to change"};
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::vector<LinesEdit>& edits = std::get<Rewritten>(rewritten).targets[i];
    if (edits.empty()) continue;
    const std::string name = display_path(targets[i].uri, {});
    const SnapshotPtr now = find_snapshot(targets[i].uri);
    if (!now) return Refusal{Kind::moved, name + " is not open any more"};
    const Byte offset{targets[i].range.begin.value -
                      std::min(targets[i].range.begin.value, targets[i].before.size())};
    Checked<std::vector<TextEdit>> merged = merge(*bases[i], offset, edits, *now->text);
    if (auto* refusal = std::get_if<Refusal>(&merged)) {
      if (refusal->kind != Kind::unchanged) {
        return Refusal{refusal->kind,
                       targets.size() == 1 ? refusal->reason : name + ": " + refusal->reason};
      }
      unchanged = std::move(*refusal);
      continue;
    }
    auto& found = std::get<std::vector<TextEdit>>(merged);
    const auto file = std::ranges::find(files, now->uri, &FileEdit::uri);
    if (file == files.end()) {
      files.push_back({now->uri, now->version, std::move(found)});
      continue;
    }
    file->edits.insert(file->edits.end(), found.begin(), found.end());
    std::ranges::sort(file->edits, {}, [](const TextEdit& edit) {
      return std::pair(edit.range.begin, edit.range.end);
    });
  }
  if (files.empty()) return unchanged;
  return files;
}

}  // namespace hearth::lsp
