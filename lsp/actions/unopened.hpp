// Files of the workspace that no editor has open, as the disk has them.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "lsp/support/host.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// The version of such a file's snapshot.
inline constexpr std::int64_t unopened_version = std::numeric_limits<std::int64_t>::min();

// Null where it is outside of `folders` (the workspace's, as URIs), holds secrets, is larger than
// 4 MiB or no UTF-8. Reads the disk: call it off the server's thread.
SnapshotPtr read_unopened(const std::string& uri, std::span<const std::string> folders,
                          const Host& host);

}  // namespace hearth::lsp
