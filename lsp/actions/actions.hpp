// The actions that a person can choose, in one table: one row each, and the rest in a file of its
// own. An action is three pure functions around the model: may it be chosen here, what is the
// model asked, and what does its answer do. Between the last two nothing survives but the Request,
// which can be written down. Listing and running them is code_actions.hpp's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/document/documents.hpp"
#include "lsp/edits/assemble.hpp"
#include "lsp/edits/edit.hpp"
#include "lsp/jobs/jobs.hpp"

namespace hearth::lsp {

// What an answer does: all that an action delivers.
struct Effect {
  std::optional<std::string> markdown;  // for a person to read, also while it grows
  std::vector<FileEdit> edits = {};     // once the answer is whole, through the editor
  bool operator==(const Effect&) const = default;
};

// Whether an action may be chosen.
struct Availability {
  std::string_view why_not;  // for people; empty: it may
  std::string title = {};    // in the menu, where the row's own does not say enough
  // It may, once the person has said what they want: an editor that can ask them does, with this.
  std::string_view asks = {};
  explicit operator bool() const { return why_not.empty(); }
};

// What a job wrote, so far or in all.
struct Written {
  std::string_view text;
  bool finished = false;  // the model ended it itself: it was not cut, and nothing failed
  bool ended = false;     // nothing follows
};

// How a model is asked: in words as it likes, or for code in a form that can be checked, and as
// much of it as was shown.
enum class Answers : std::uint8_t { text, code };

// What an action is about: a place in a document, or, in no menu, a change that comes with the
// command, or words with files attached.
enum class About : std::uint8_t { code, diff, words };

struct Action {
  std::string_view id;  // "explain"; of a user's prompts/explain.md and a checkpoint's wording too
  std::string_view title;       // in the editor's menu: "Explain selection"
  std::string_view title_here;  // the same where nothing is selected: "Explain this function"
  std::string_view verb;        // of its jobs: "Explain" average
  // Of the code action: under "hearth." where it answers only, a refactoring or quick fix where it
  // changes code, never one that runs on save.
  std::string_view kind;
  About about = About::code;
  Answers answers = Answers::text;
  bool thinks = true;  // where nobody says otherwise: the task is hard enough to wait for a thought
  Sampling sampling = Sampling::recommended;
  // On the Host's thread, while a menu opens: looks at the text and does not parse.
  Availability (*listed)(const TaskInput& input);
  // The prompt, on another thread. May throw what a person is to read.
  ContextPlan (*plan)(const TaskInput& input, const ModelProfile& profile);
  // On the Host's thread. Also takes an answer that is still being written.
  Effect (*apply)(const Request& request, const Written& answer, const FindSnapshot& find);
};

std::span<const Action* const> actions();
// Null where there is none.
const Action* action_with_id(std::string_view id);
const Action* action_with_command(std::string_view command);
// Never one that an editor extension registers itself: "hearth.server.explain".
std::string command_of(const Action& action);
// What a job's answer does, as far as it is written; once it is settled, what is left to be read.
Effect effect_of(const Job& job, const FindSnapshot& find);
// What there is to be read of it by a person; nothing where its edits say it all.
std::optional<std::string> readable(const Job& job, const Documents& documents);

// The user's wording of the action `id`, else the checkpoint's, else `own`.
Wording wording_of(const ModelProfile& profile, std::string_view id, std::string_view own);

// ── What several actions share ───────────────────────────────────────────────────────────────────
// Of code: what is selected, or what is around a person's cursor.
Availability needs_code(const TaskInput& input);
// And words of the person's own, which become the title: "Ask: why is this slow?"
Availability needs_instruction(const TaskInput& input, std::string_view what,
                               std::string_view asks);
// The beginning of a person's or a tool's words, for a title.
std::string shortened(std::string_view words);
// The answer is text for a person.
Effect shows_answer(const Request& request, const Written& answer, const FindSnapshot& find);

// The form in which changed code of this size is asked for: small code whole, of larger code only
// the lines that change.
AnswerForm form_for(ByteRange code);
// plan_task() with the sentence that asks for that form; where files are attached, which may change
// too, for the lines that change in each.
ContextPlan plan_change(const TaskInput& input, const ModelProfile& profile, Wording wording);
// Whether an answer may propose files that are not there yet: where several files may change, in a
// folder of the workspace.
bool may_make_files(std::size_t attached, std::string_view uri,
                    std::span<const std::string> folders);
// The answer is the target's new text: an edit of the document as it is now. An answer that cannot
// be one is shown with the reason.
Effect changes_code(const Request& request, const Written& answer, const FindSnapshot& find);

// What a `hearth:` comment in the range, or in its line where it is empty, asks for; else empty.
std::string comment_instruction(const Text& text, ByteRange range);

}  // namespace hearth::lsp
