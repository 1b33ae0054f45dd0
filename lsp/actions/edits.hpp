// Hands an effect's edits to the editor, which alone writes files. An edit is sent only while its
// document is the version that it was made for: an action's apply() merges with what a person has
// typed, this refuses what it did not see.
#pragma once

#include <string>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// Sends workspace/applyEdit, all files in one. `title` is the edit's name in the editor. What keeps
// it from being applied, here or there, is told in a message, and nothing is changed then.
void apply_edits(Session& session, const std::string& title, const std::vector<FileEdit>& edits);

}  // namespace hearth::lsp
