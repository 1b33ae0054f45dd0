// Edits for people to read: as a patch.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "lsp/edits/edit.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// The hunks of a unified diff with three lines around each change; empty where nothing changes.
std::string unified_hunks(std::string_view before, std::string_view after);

// A block of Markdown.
std::string fenced(const std::string& text, std::string_view kind);

// A fenced diff with the paths as the workspace shows them. Of documents that `find` does not have
// nothing can be shown.
std::string diff_markdown(const Session& session, const std::vector<FileEdit>& edits,
                          const FindSnapshot& find);

}  // namespace hearth::lsp
