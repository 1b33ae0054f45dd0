// A task about a change: the diff file by file, as much of each as fits, then the wording. Files of
// secrets are named and not shown.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "lsp/context/context.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/context/secret_lines.hpp"
#include "lsp/context/wording.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

struct FileDiff {
  std::string path;
  Pieces lines;
  bool secret = false;
};

struct DiffParts final : ContextPlan::Parts {
  std::int64_t room = 0;
  std::size_t system = 0;
  std::size_t open = 0;
  std::vector<FileDiff> files;
  std::size_t cut = 0;  // stands for what is left out of a file
  std::size_t close = 0;
  std::size_t instruction = 0;

  Prompt fit(const Counts& counts) const override;
  std::vector<ContextPiece> pieces(const Counts& counts) const override;

 private:
  // How many pieces of each file are shown: small files whole, what is left among the large ones.
  std::vector<std::size_t> shown(const Counts& counts) const;
};

std::vector<std::size_t> DiffParts::shown(const Counts& counts) const {
  const std::int64_t left =
      room - counts[system] - counts[open] - counts[close] - counts[instruction];
  std::vector<Pieces> lines;
  for (const FileDiff& file : files) lines.push_back(file.lines);
  return fair_ends(lines, counts, left, cut);
}

Prompt DiffParts::fit(const Counts& counts) const {
  const std::vector<std::size_t> ends = shown(counts);
  std::string text = counts.text(open);
  for (std::size_t i = 0; i < files.size(); ++i) {
    text += joined(counts, {files[i].lines.begin, ends[i]});
    if (ends[i] < files[i].lines.end) text += counts.text(cut);
  }
  text += counts.text(close);
  Message system_line{Role::system, {{counts.text(system), Provenance::system, true}}};
  Message user{Role::user,
               {{std::move(text), Provenance::selection, true},
                {counts.text(instruction), Provenance::instruction, false}}};
  return {Prompt::Kind::chat, {std::move(system_line), std::move(user)}, {}, {}};
}

std::vector<ContextPiece> DiffParts::pieces(const Counts& counts) const {
  const std::vector<std::size_t> ends = shown(counts);
  std::vector<ContextPiece> all;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const FileDiff& file = files[i];
    const std::string why_not = file.secret                ? "it looks like a file of secrets"
                                : ends[i] < file.lines.end ? "it is long: its end is not shown"
                                                           : "";
    all.push_back(
        {Provenance::selection, file.path, "it is changed", why_not, total(counts, file.lines)});
  }
  return all;
}

// The names that a part of a diff gives its file, the new one first where there are two.
std::vector<std::string> paths_in(std::string_view file) {
  std::vector<std::string> paths;
  const auto add = [&paths](std::string_view path, bool first) {
    path = path.substr(0, path.find('\t'));
    if (path.empty() || path == "/dev/null") return;
    paths.insert(first ? paths.begin() : paths.end(), std::string(path));
  };
  while (!file.empty() && !file.starts_with("@@")) {
    std::string_view line = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(line.size() + 1, file.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("diff --git a/")) {
      const std::size_t second = line.rfind(" b/");
      if (second != line.npos) add(line.substr(second + 3), false);
    } else if (line.starts_with("+++ ")) {
      add(line.substr(line.starts_with("+++ b/") ? 6 : 4), true);
    } else if (line.starts_with("--- ")) {
      add(line.substr(line.starts_with("--- a/") ? 6 : 4), false);
    } else if (line.starts_with("rename from ")) {
      add(line.substr(12), false);
    }
  }
  return paths;
}

// The path of a secret file that a part is about, whether it was that before or is now.
std::optional<std::string> secret_in(std::string_view file) {
  const std::vector<std::string> paths = paths_in(file);
  const auto secret = std::ranges::find_if(paths, [](const auto& path) { return is_secret(path); });
  return secret == paths.end() ? std::nullopt : std::optional(*secret);
}

// The parts of a diff that are about one file each. A plain diff without git's lines has them too.
std::vector<std::string_view> files_of(std::string_view diff) {
  std::vector<std::size_t> begins;
  const bool git = diff.starts_with("diff --git ") || diff.find("\ndiff --git ") != diff.npos;
  const std::string_view mark = git ? "diff --git " : "--- ";
  for (std::size_t at = 0; at < diff.size();) {
    const std::string_view line = diff.substr(at);
    if (line.starts_with(mark)) begins.push_back(at);
    const std::size_t end = diff.find('\n', at);
    at = end == diff.npos ? diff.size() : end + 1;
  }
  if (begins.empty()) begins.push_back(0);
  std::vector<std::string_view> files;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t end = i + 1 < begins.size() ? begins[i + 1] : diff.size();
    files.push_back(diff.substr(begins[i], end - begins[i]));
  }
  return files;
}

}  // namespace

std::vector<std::string> secret_files(std::string_view diff) {
  std::vector<std::string> secret;
  for (const std::string_view file : files_of(diff)) {
    if (auto path = secret_in(file)) secret.push_back(std::move(*path));
  }
  return secret;
}

ContextPlan plan_diff(const TaskInput& input, const ModelProfile& profile, const Wording& wording) {
  ContextPlan plan;
  plan.subject_ = "the staged change";
  if (is_blank(input.diff)) {
    plan.refused_ = "The diff is empty: there is nothing to write about.";
    return plan;
  }
  auto parts = std::make_shared<DiffParts>();
  parts->room =
      std::max<std::int64_t>(profile.context_tokens - input.answer_tokens - template_tokens, 0);
  const auto add = [&plan](std::string text) {
    plan.texts_.push_back(std::move(text));
    return plan.texts_.size() - 1;
  };
  const std::size_t max_bytes = static_cast<std::size_t>(parts->room) * max_bytes_per_token;
  const std::string fence = fence_for(input.diff);
  parts->system = add(profile.system_chat);
  parts->open = add("The change:\n\n" + fence + "diff\n");
  for (const std::string_view file : files_of(input.diff)) {
    FileDiff& shown = parts->files.emplace_back();
    const std::optional<std::string> secret = secret_in(file);
    const std::vector<std::string> paths = paths_in(file);
    shown.secret = secret.has_value();
    shown.path = secret ? *secret : paths.empty() ? "the change" : paths.front();
    std::string text =
        shown.secret ? fmt::format("[{}: left out, it looks like a file of secrets]\n", shown.path)
                     : without_secrets(file.substr(0, character_start(file, max_bytes)), "", "");
    if (!text.ends_with('\n')) text += '\n';
    shown.lines = add_pieces(text, plan.texts_);
  }
  parts->cut = add("[... the rest of this file is left out ...]\n");
  parts->close = add(fence + "\n\n");
  try {
    parts->instruction = add(filled_in(wording, {{"diagnostics", ""},
                                                 {"file", ""},
                                                 {"instruction", input.instruction},
                                                 {"language", "diff"},
                                                 {"problem", ""},
                                                 {"subject", plan.subject_},
                                                 {"unit", "change"}}));
  } catch (const UnknownVariable& unknown) {
    plan.refused_ = unknown.what();
    plan.texts_.clear();
    return plan;
  }
  plan.parts_ = std::move(parts);
  return plan;
}

}  // namespace hearth::lsp
