// Files and selections that a person attaches to a question by name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lsp/context/pinned.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// Those that "attached" of a command's arguments names; none where it is left out. Throws
// InvalidParams for what is none, and CannotServe for a file that may not be shown.
std::vector<PinnedFile> attached_files(const Session& session, const Json& arguments);

// The files that an action may change beside its own, which is `uri`: each once and whole, open or
// as the disk has it; null where it cannot be read. Reads the disk.
std::vector<PinnedFile> also_changed(std::vector<PinnedFile> files, const std::string& uri,
                                     const std::vector<std::string>& folders, const Host& host);

// As a question that goes on from an answer shows them; no line that looks like a secret.
std::string attached_text(std::span<const PinnedText> files);

}  // namespace hearth::lsp
