// Whether somebody works on one folder (tests/run FOLDER): a sample of what takes longest is enough
// then, the whole run tries the rest.
#pragma once

#include <cstdlib>

namespace hearth::tests {

inline bool is_short_run() {
  return std::getenv("HEARTH_SHORT") != nullptr;
}

}  // namespace hearth::tests
