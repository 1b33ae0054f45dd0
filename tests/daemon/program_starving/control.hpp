// What a test and the starving program share: a file of this one struct, mapped by both and named
// by HEARTH_STARVE.
#pragma once

#include <atomic>

namespace hearth::tests {

struct Starving {
  std::atomic<long> counted;  // allocations since the test set it to 0
  std::atomic<long> from;     // the first that fails, counted from 1; 0: none
  std::atomic<long> until;    // the last
  std::atomic<long> failed;
};
static_assert(std::atomic<long>::is_always_lock_free);

}  // namespace hearth::tests
