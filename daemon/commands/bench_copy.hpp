// `hearth bench --copy`: what guessed tokens bring where code is written again with one change.
#pragma once

#include <string>

namespace hearth::daemon {

struct CopyBench {
  std::string model;   // directory of the checkpoint; empty: as configured
  std::string memory;  // for experts; empty: as configured
  int threads = 0;
  bool json = false;
};

// Writes the copy with the embedded checkpoint, then the same tokens with the given one, guessing
// and one by one. An exit code; throws Error.
int bench_copy(const CopyBench& bench);

}  // namespace hearth::daemon
