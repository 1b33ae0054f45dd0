// Private files, written whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace hearth::daemon {

// Writes beside (mode 0600), syncs, renames. Throws Error with the path and the reason (a full
// disk); what was there before then still is.
void write_file(const std::filesystem::path& path, std::string_view text);

// The whole file. Throws Error with the path and the reason, also beyond `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit);

}  // namespace hearth::daemon
