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
  explicit operator bool() const { return why_not.empty(); }
};

struct Action {
  std::string_view id;  // "explain"; of a user's prompts/explain.md and a checkpoint's wording too
  std::string_view title;  // in the editor's menu: "Explain selection"
  std::string_view verb;   // of its jobs: "Explain" average
  std::string_view kind;   // of the code action: under "hearth.", so that nothing runs on save
  // On the Host's thread, while a menu opens: looks at the text and does not parse.
  Availability (*listed)(const TaskInput& input);
  // The prompt, on another thread. May throw what a person is to read.
  ContextPlan (*plan)(const TaskInput& input, const ModelProfile& profile);
  // On the Host's thread. Also takes an answer that is still being written.
  Effect (*apply)(const Request& request, std::string_view answer, const Documents& documents);
};

std::span<const Action* const> actions();
// Null where there is none.
const Action* action_with_id(std::string_view id);
const Action* action_with_command(std::string_view command);
// Never one that an editor extension registers itself: "hearth.server.explain".
std::string command_of(const Action& action);
// What a job's answer does, as far as it is written.
Effect effect_of(const Job& job, const Documents& documents);

// The user's wording of the action `id`, else the checkpoint's, else `own`.
Wording wording_of(const ModelProfile& profile, std::string_view id, std::string_view own);

// What actions about a selection share whose answer is text for a person:
// `no_selection` is said where nothing is selected.
Availability needs_selection(const TaskInput& input, std::string_view no_selection);
Effect shows_answer(const Request& request, std::string_view answer, const Documents& documents);

}  // namespace hearth::lsp
