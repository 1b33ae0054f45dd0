// How far the weights that are always in memory have been read.
#pragma once

#include <cstdint>

namespace hearth::engine {

struct LoadProgress {
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
};

}  // namespace hearth::engine
