// The table, and what several actions share.
#include "lsp/actions/actions.hpp"

#include <algorithm>
#include <array>

#include "lsp/context/parts.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {

// In the order of the menu.
extern const Action fix;             // fix.cpp
extern const Action explain;         // explain.cpp
extern const Action ask;             // ask.cpp
extern const Action edit;            // edit.cpp
extern const Action translate;       // translate.cpp
extern const Action document;        // document.cpp
extern const Action tests;           // tests.cpp
extern const Action review;          // review.cpp
extern const Action simplify;        // simplify.cpp
extern const Action types;           // types.cpp
extern const Action rename;          // rename.cpp
extern const Action extract;         // extract.cpp
extern const Action inline_names;    // inline_names.cpp
extern const Action commit_message;  // commit_message.cpp
extern const Action chat;            // chat.cpp

namespace {

constexpr std::array table{&fix,      &explain, &ask,          &edit,           &translate,
                           &document, &tests,   &review,       &simplify,       &types,
                           &rename,   &extract, &inline_names, &commit_message, &chat};

constexpr std::string_view command_prefix = "hearth.server.";
constexpr std::string_view comment_mark = "hearth:";

// Whether the instruction stands in a comment of its own: then the change that was asked for leaves
// nothing of it.
bool is_instruction_line(std::string_view line) {
  const std::size_t mark = line.find(comment_mark);
  return mark != line.npos && std::ranges::none_of(line.substr(0, mark), is_word_byte);
}

// `answer` without the lines that are instructions in the target, should the model have kept them.
std::string without_instructions(std::string_view answer, std::string_view target) {
  std::string result;
  while (!answer.empty()) {
    const std::size_t length = std::min(answer.find('\n'), answer.size() - 1) + 1;
    const std::string_view line = answer.substr(0, length);
    answer.remove_prefix(length);
    const bool drop = is_instruction_line(line) && target.find(trimmed(line)) != target.npos;
    if (!drop) result += line;
  }
  return result;
}

}  // namespace

std::span<const Action* const> actions() {
  return table;
}

const Action* action_with_id(std::string_view id) {
  const auto found = std::ranges::find(table, id, [](const Action* action) { return action->id; });
  return found == table.end() ? nullptr : *found;
}

const Action* action_with_command(std::string_view command) {
  if (!command.starts_with(command_prefix)) return nullptr;
  return action_with_id(command.substr(command_prefix.size()));
}

std::string command_of(const Action& action) {
  return std::string(command_prefix).append(action.id);
}

Effect effect_of(const Job& job, const FindSnapshot& find) {
  if (job.settled) return {job.settled->text, {}};
  const Action* action = action_with_id(job.request.action);
  const bool whole = job.state == JobState::waiting || job.state == JobState::done;
  const bool finished = whole && job.finish == FinishReason::stop;
  if (action == nullptr) return {job.text, {}};
  return action->apply(job.request, {job.text, finished, whole || ended(job.state)}, find);
}

std::optional<std::string> readable(const Job& job, const Documents& documents) {
  if (job.state == JobState::waiting && !job.offer.empty()) return job.offer;
  return effect_of(job, [&](const std::string& uri) { return documents.find(uri); }).markdown;
}

Wording wording_of(const ModelProfile& profile, std::string_view id, std::string_view own) {
  const auto other = profile.wordings.find(std::string(id));
  return other != profile.wordings.end() ? other->second
                                         : Wording{std::string(id), std::string(own)};
}

Availability needs_code(const TaskInput& input) {
  const Text& text = *input.snapshot->text;
  if (is_blank(text.view({text.begin(), Byte{text.str().size()}})))
    return {"The document is empty."};
  if (!input.invoked && is_blank(text.view(input.selection))) return {"Nothing is selected."};
  return {};
}

Availability needs_instruction(const TaskInput& input, std::string_view what,
                               std::string_view asks) {
  Availability available = needs_code(input);
  if (available && is_blank(input.instruction)) {
    return {"Say what you want in a comment of the code: hearth: and then your words.", {}, asks};
  }
  if (available) available.title = std::string(what) + ": " + shortened(input.instruction);
  return available;
}

std::string shortened(std::string_view words) {
  constexpr std::size_t max_bytes = 60;
  const std::string_view line = trimmed(words.substr(0, words.find_first_of(line_ends)));
  if (line.size() <= max_bytes) return std::string(line);
  return std::string(line.substr(0, character_start(line, max_bytes))) + "...";
}

Effect shows_answer(const Request&, const Written& answer, const FindSnapshot&) {
  return {std::string(answer.text), {}};
}

AnswerForm form_for(ByteRange code) {
  // Some eighty lines: to write them again takes a model of a few tokens a second minutes.
  constexpr std::size_t max_whole_bytes = 3000;
  return code.end.value - code.begin.value <= max_whole_bytes ? AnswerForm::whole_code
                                                              : AnswerForm::hunks;
}

ContextPlan plan_change(const TaskInput& input, const ModelProfile& profile, Wording wording) {
  const bool new_files = may_make_files(input.attached.size(), input.snapshot->uri, input.folders);
  const auto with_form = [&wording, new_files](AnswerForm form) {
    const char* gap = form == AnswerForm::hunks ? "\n" : " ";
    return Wording{wording.source, wording.text + gap + form_wording(form, new_files)};
  };
  // Which code is meant shows in the plan; its tree is there then.
  if (input.attached.empty()) {
    ContextPlan plan = plan_task(input, profile, with_form(AnswerForm::whole_code));
    if (form_for(plan.range()) == AnswerForm::whole_code) return plan;
  }
  return plan_task(input, profile, with_form(AnswerForm::hunks));
}

bool may_make_files(std::size_t attached, std::string_view uri,
                    std::span<const std::string> folders) {
  return attached > 0 && uri.starts_with("file:") && !folder_of(uri, folders).empty();
}

Effect changes_code(const Request& request, const Written& answer, const FindSnapshot& find) {
  if (!answer.ended) return {};
  const AnswerForm form = request.form.value_or(AnswerForm::whole_code);
  std::string text(answer.text);
  if (form == AnswerForm::whole_code && !request.targets.empty())
    text = without_instructions(text, request.targets.front().text);
  Checked<std::vector<FileEdit>> edits =
      assemble(form, text, answer.finished, request.targets, find, request.new_files_in);
  if (const auto* refusal = std::get_if<Refusal>(&edits)) {
    return {"Nothing was changed: " + refusal->reason + ".\n\n" + std::string(answer.text), {}};
  }
  return {std::nullopt, std::move(std::get<std::vector<FileEdit>>(edits))};
}

std::string comment_instruction(const Text& text, ByteRange range) {
  const std::size_t last = text.line_of(range.end);
  for (std::size_t line = text.line_of(range.begin); line <= last; ++line) {
    std::string_view here = text.view(text.line_range(line));
    if (!is_instruction_line(here)) continue;
    here.remove_prefix(here.find(comment_mark) + comment_mark.size());
    for (const std::string_view closer : {"*/", "-->", "--}}", "*)"}) {
      if (const std::size_t end = here.rfind(closer); end != here.npos) here = here.substr(0, end);
    }
    return std::string(trimmed(here));
  }
  return {};
}

}  // namespace hearth::lsp
