// Memory for code that allocates where it must not fail: destructors of JSON values. The allocation
// that finds no memory fails all the same, but what is then undone has the reserve.
#pragma once

namespace hearth::daemon {

// Takes the reserve, and becomes the process's std::new_handler, which releases it. Once, before
// other threads begin. std::bad_alloc.
void reserve_memory();

// From any thread. The reserve, once released, is taken again as soon as there is memory for it;
// costs next to nothing while it is there.
void restore_memory_reserve() noexcept;
bool has_memory_reserve() noexcept;

}  // namespace hearth::daemon
