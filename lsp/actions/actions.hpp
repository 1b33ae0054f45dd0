// The actions that a person can choose, in one table. An action is two pure functions around the
// model: prepare makes a Request, which can be written down, and apply turns the answer into an
// Effect. Nothing else survives between the two. Listing and running them is code_actions.hpp's.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "lsp/context/context.hpp"
#include "lsp/document/documents.hpp"
#include "lsp/jobs/jobs.hpp"

namespace hearth::lsp {

// Text for a person to read.
struct ShowText {
  std::string title;
  std::string markdown;
  bool operator==(const ShowText&) const = default;
};
// What an answer does. Edits join as another alternative with the first action that makes one.
using Effect = std::variant<ShowText>;

struct Action {
  std::string_view id;       // also the key of its wording in the model's profile
  std::string_view title;    // in the editor's menu
  std::string_view kind;     // of the code action: under "hearth.", so that nothing runs on save
  std::string_view command;  // never one that an editor extension registers itself
  // Why it cannot be chosen here, for people; empty: it can.
  std::string_view (*disabled)(const Text& text, ByteRange selection);
  Request (*prepare)(const Snapshot& snapshot, const ContextPlan& plan, Prompt prompt,
                     GenerateOptions options);
  // Also takes an answer that is still being written.
  Effect (*apply)(const Request& request, std::string_view answer, const Documents& documents);
};

std::span<const Action> actions();
// Null where there is none.
const Action* action_with_id(std::string_view id);
const Action* action_with_command(std::string_view command);

}  // namespace hearth::lsp
