// Files of the workspace that no editor has open, as the disk has them, and those that it has not.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "lsp/edits/edit.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// The version of such a file's snapshot.
inline constexpr std::int64_t unopened_version = std::numeric_limits<std::int64_t>::min();

// Null where it is outside of `folders` (the workspace's, as URIs), holds secrets, is larger than
// 4 MiB or no UTF-8. Reads the disk: call it off the server's thread.
SnapshotPtr read_unopened(const std::string& uri, std::span<const std::string> folders,
                          const Host& host);

// A path that is not there, without the links of the folders above it; nothing where that cannot be
// told, as behind a link that leads nowhere. Reads the disk.
std::optional<std::string> real_place(const std::string& path, const Host& host);

// Why a file that is not there yet may not be made, for people; empty: it may. Refused: where
// something is there, also a link that leads nowhere; outside of all `folders` once links are
// followed; and what git ignores, looks like secrets or is_off_limits(). Reads the disk.
std::string creation_refusal(const std::string& uri, std::span<const std::string> folders,
                             const Host& host);
// Why an edit may not be made, whatever it holds, for people; empty: it may. One that creates: as
// creation_refusal(). Of another, refused: what looks like secrets or is_off_limits(), by its name
// or where links lead; and what git ignores, unless it is in the repository all the same. Reads the
// disk.
std::string edit_refusal(const FileEdit& edit, std::span<const std::string> folders,
                         const Host& host);

}  // namespace hearth::lsp
