// `hearth bench --copy`: the speedup by draft tokens where code is copied with one change.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/engine.hpp"

namespace hearth::daemon {

struct CopyBench {
  std::string model;                    // directory of the checkpoint; empty: as configured
  std::optional<std::uint64_t> memory;  // for experts; empty: as configured
  int threads = 0;
  bool json = false;
};

// What computes, and what there is to say of it: a line each.
std::string show_engine(const engine::Engine& engine);

// Writes the copy with the embedded checkpoint, then the same tokens with the given one, drafting
// and one by one. An exit code; throws Error.
int bench_copy(const CopyBench& bench);

}  // namespace hearth::daemon
