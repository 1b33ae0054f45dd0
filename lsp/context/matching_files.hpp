// The files of a workspace that a person means by patterns. Never what git ignores, what
// is_secret() names, and what is outside of the folders once links are followed.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "lsp/support/host.hpp"

namespace hearth::lsp {

struct MatchingFiles {
  std::vector<std::string> uris;  // in the order of their paths
  bool cut = false;               // there are more
};

// Of `folders` (the workspace's, as URIs), at most `max`. A pattern is relative to its folder and
// as git's pathspecs have them: "src/a.py", "*.py" (in all folders below, too), "src/*.c", "lib".
// Reads the disk: call it off the server's thread.
MatchingFiles matching_files(const Host& host, std::span<const std::string> folders,
                             std::span<const std::string> patterns, std::size_t max);

}  // namespace hearth::lsp
