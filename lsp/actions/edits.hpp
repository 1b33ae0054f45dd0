// Hands an effect's edits to the editor, which alone writes files. An edit is sent only while its
// document is the version that it was made for: an action's apply() merges with what a person has
// typed, this refuses what it did not see.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// Whether the client takes edits for a certain version of a document. Where it does not, what was
// typed meanwhile could be overwritten: an edit is only shown then.
bool takes_edits(const Client& client);

// Sends workspace/applyEdit, all files in one. `find` has the documents that the edits are for.
// `title` is the edit's name in the editor. `done` is called at once or when the editor has
// answered, with why nothing was changed, or nothing.
void apply_edits(Session& session, const std::string& title, const std::vector<FileEdit>& edits,
                 const FindSnapshot& find, std::function<void(const std::string& failure)> done);

struct EditsCheck {
  // What breaks when the edits are made, in words that a model can mend its answer by; empty: they
  // break nothing that parsed before.
  std::string complaint;
  std::string refusal;  // why a file may not be made or changed, for people; empty: all may
};
// Parses and looks at the disk on another thread; `done` is called once, unless the Host goes
// first.
void check_edits(Session& session, const std::vector<FileEdit>& edits, const FindSnapshot& find,
                 std::function<void(const EditsCheck&)> done);

}  // namespace hearth::lsp
