// Buffers in the host's ordinary memory.
#pragma once

#include <cstddef>

#include "kernels/ops.hpp"

namespace hearth::kernels {

// Zeroed and 64-byte aligned. Throws Error where there is no memory. Pages that are never touched
// cost nothing, so a cache for a long context may be allocated whole.
Buffer allocate_host(std::size_t bytes);

}  // namespace hearth::kernels
