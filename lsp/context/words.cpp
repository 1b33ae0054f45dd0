// A question in a person's own words that is about no place in a document: what is pinned and what
// they attached, as much of each as fits, then the words.
#include <algorithm>
#include <string>
#include <utility>

#include "lsp/context/context.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/context/wording.hpp"
#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

struct WordsParts final : ContextPlan::Parts {
  std::int64_t room = 0;
  std::size_t system = 0;
  std::vector<ShownFile> files;
  std::size_t cut = 0;  // stands for what is left out of a file
  std::size_t instruction = 0;

  Prompt fit(const Counts& counts) const override;
  std::vector<ContextPiece> pieces(const Counts& counts) const override;

 private:
  std::vector<std::size_t> shown(const Counts& counts) const;
};

std::vector<std::size_t> WordsParts::shown(const Counts& counts) const {
  std::int64_t left = room - counts[system] - counts[instruction];
  std::vector<Pieces> lines;
  for (const ShownFile& file : files) {
    left -= counts[file.open] + counts[file.close];
    lines.push_back(file.lines);
  }
  return fair_ends(lines, counts, left, cut);
}

Prompt WordsParts::fit(const Counts& counts) const {
  const std::vector<std::size_t> ends = shown(counts);
  Message user{Role::user, {}};
  for (std::size_t i = 0; i < files.size(); ++i) {
    const ShownFile& file = files[i];
    if (ends[i] == file.lines.begin) continue;
    user.segments.push_back(
        {text_of(file, counts, ends[i], cut), Provenance::attached, true, file.why});
  }
  user.segments.push_back({counts.text(instruction), Provenance::instruction, false});
  Message system_line{Role::system, {{counts.text(system), Provenance::system, true}}};
  return {Prompt::Kind::chat, {std::move(system_line), std::move(user)}, {}, {}};
}

std::vector<ContextPiece> WordsParts::pieces(const Counts& counts) const {
  const std::vector<std::size_t> ends = shown(counts);
  std::vector<ContextPiece> all;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const ShownFile& file = files[i];
    const std::string why_not = ends[i] == file.lines.begin ? "it does not fit"
                                : ends[i] < file.lines.end  ? "it is long: its end is not shown"
                                                            : "";
    all.push_back({Provenance::attached, file.path, file.why, why_not, total(counts, file.lines)});
  }
  return all;
}

}  // namespace

ContextPlan plan_words(const TaskInput& input, const ModelProfile& profile, const Wording& wording,
                       std::string subject) {
  ContextPlan plan;
  plan.subject_ = std::move(subject);
  auto parts = std::make_shared<WordsParts>();
  parts->room =
      std::max<std::int64_t>(profile.context_tokens - input.answer_tokens - template_tokens, 0);
  const auto add = [&plan](std::string text) {
    plan.texts_.push_back(std::move(text));
    return plan.texts_.size() - 1;
  };
  const auto show = [&](const std::vector<PinnedText>& files, const char* why) {
    for (const PinnedText& file : files) {
      if (!is_secret(file.path)) parts->files.push_back(shown_file(file, why, plan.texts_));
    }
  };
  parts->system = add(profile.system_chat);
  show(input.pinned, "pinned by the person");
  show(input.attached, "attached by the person");
  parts->cut = add(rest_left_out);
  try {
    parts->instruction = add(filled_in(wording, {{"diagnostics", ""},
                                                 {"file", ""},
                                                 {"instruction", input.instruction},
                                                 {"language", ""},
                                                 {"problem", ""},
                                                 {"subject", plan.subject_},
                                                 {"unit", "question"}}));
  } catch (const UnknownVariable& unknown) {
    plan.refused_ = unknown.what();
    plan.texts_.clear();
    return plan;
  }
  plan.parts_ = std::move(parts);
  return plan;
}

}  // namespace hearth::lsp
