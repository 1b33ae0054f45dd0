// `hearth bench --draft`: whether drafts of a small model make a large one faster on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hearth::daemon {

struct DraftBench {
  std::string model;                    // directory of the checkpoint; empty: as configured
  std::string draft;                    // directory of the small one
  std::optional<std::uint64_t> memory;  // for the large one's experts; empty: as configured
  int threads = 0;
  bool json = false;
};

// Writes some answers one by one, with drafts copied from their text, and with the small model's
// drafts as well, by turns; prints the speeds and what to do. An exit code; throws Error.
int bench_draft(const DraftBench& bench);

}  // namespace hearth::daemon
