// Buffers in the host's ordinary memory.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/ops.hpp"

namespace hearth::kernels {

// Zeroed and 64-byte aligned; from 4 MiB on aligned to 2 MiB, in huge pages where possible. Throws
// std::bad_alloc where there is no memory. Pages that are never touched cost nothing, so a cache
// for a long context may be allocated whole.
Buffer allocate_host(std::size_t bytes);

// Ends such a buffer's memory, for who has taken it out of its Buffer.
void free_host(std::byte* data);

// Gives the whole pages in a part of a buffer of 4 MiB or more back to the system. They are zero
// when they are touched again.
void discard_host(std::span<std::byte> bytes);

}  // namespace hearth::kernels
