// Reading a workspace's files: what a Host that shows the disk answers with. Links are not
// followed. Blocking; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lsp/support/host.hpp"

namespace hearth::lsp::disk {

std::vector<DirectoryEntry> list_directory(const std::string& path);
std::optional<std::string> read_file(const std::string& path, std::size_t max_bytes);
std::optional<std::string> real_path(const std::string& path);
bool is_there(const std::string& path);

}  // namespace hearth::lsp::disk
