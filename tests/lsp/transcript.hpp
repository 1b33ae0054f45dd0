// Plays a session that is written down as a file: see transcripts/README.md for the format.
#pragma once

#include <filesystem>

namespace hearth::lsp::test {

// Throws std::runtime_error with file, line and what was there instead at the first difference.
void play_transcript(const std::filesystem::path& file);

}  // namespace hearth::lsp::test
