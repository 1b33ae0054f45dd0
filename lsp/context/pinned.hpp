// Files that a person has pinned to the context: the model sees them whatever is asked.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// From 0, both included.
struct LineSpan {
  std::size_t first = 0;
  std::size_t last = 0;
};

struct PinnedFile {
  std::string uri;
  SnapshotPtr open;                    // null: it is read from the disk
  std::optional<LineSpan> lines = {};  // of it; empty: all
};

// Where a file of the workspace lies, without links; nothing where it is outside of all `folders`,
// holds secrets, or is not there. Reads the disk.
std::optional<std::string> path_within(const std::string& uri, std::span<const std::string> folders,
                                       const Host& host);

// Why a file cannot be pinned, for people; empty: it can. A file outside of all `folders` can only
// be pinned while it is open.
std::string pin_refusal(const PinnedFile& file, std::span<const std::string> folders,
                        const Host& host);

inline constexpr std::size_t max_attached_bytes = std::size_t{64} << 10U;

// What they hold now, up to that much of each; one that is gone or outside of the folders is left
// out. Reads the disk: call it off the server's thread.
std::vector<PinnedText> pinned_texts(std::span<const PinnedFile> files,
                                     std::span<const std::string> folders, const Host& host);

}  // namespace hearth::lsp
