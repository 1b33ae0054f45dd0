// Files and selections that a person attaches to a question by name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lsp/context/pinned.hpp"
#include "lsp/jobs/session.hpp"

namespace hearth::lsp {

// Those that "attached" of a command's arguments names; none where it is left out. Throws
// InvalidParams for what is none, and says of a file that may not be shown why not.
std::vector<PinnedFile> attached_files(const Session& session, const Json& arguments);

// As a question that goes on from an answer shows them; no line that looks like a secret.
std::string attached_text(std::span<const PinnedText> files);

}  // namespace hearth::lsp
