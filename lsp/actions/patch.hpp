// Edits as a patch: for people to read, and for programs to make.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "lsp/edits/edit.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// The hunks of a unified diff with three lines around each change, for people: lines without their
// endings, whatever these are. Empty where nothing changes.
std::string unified_hunks(std::string_view before, std::string_view after);

// One file's change for `git apply` and `patch -p1`, byte for byte: what git writes, in text.
// `path` is from the folder that it is applied in. `before`: nothing where the file is not there
// yet. Empty where nothing changes.
std::string file_patch(std::string_view path, const std::optional<std::string>& before,
                       std::string_view after);

// A block of Markdown.
std::string fenced(const std::string& text, std::string_view kind);

// A fenced diff with the paths as the workspace shows them. Of documents that `find` does not have
// nothing can be shown.
std::string diff_markdown(const Session& session, const std::vector<FileEdit>& edits,
                          const FindSnapshot& find);

}  // namespace hearth::lsp
