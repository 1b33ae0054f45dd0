// Files that an answer proposes beside those that it was asked about. Their paths are the model's
// words: what is no plain path below the workspace's folder is refused. Whether something is there
// already, and where links lead, is the caller's to look at. Pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/answer.hpp"
#include "lsp/edits/edit.hpp"
#include "lsp/edits/refusal.hpp"

namespace hearth::lsp {

// Whether a block has a path and nothing to search for: the whole text of a file.
bool is_whole_file(const AnswerHunk& hunk);

// Why no file may be made at a path relative to a folder, a sentence's end; empty: nothing in its
// name forbids it.
std::string new_path_refusal(std::string_view path);

// One edit for each of the blocks, which are whole files; in their order, with that line ending.
// `folder`: the URI that their paths are relative to.
Checked<std::vector<FileEdit>> new_files(std::span<const AnswerHunk> hunks, std::string_view folder,
                                         std::string_view line_ending);

}  // namespace hearth::lsp
