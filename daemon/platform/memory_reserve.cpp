// A block that is mapped on its own, so that whichever thread allocates next can have its memory.
#include "daemon/platform/memory_reserve.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace hearth::daemon {
namespace {

// The allocator maps 1 MiB or more at a time.
constexpr std::size_t reserve_bytes = std::size_t{4} << 20;

std::atomic<bool> installed = false;
std::atomic<void*> reserve = nullptr;

// Fails the allocation: it may be a large one, for which there is still not enough.
void release_and_fail() {
  std::free(reserve.exchange(nullptr));
  throw std::bad_alloc();
}

}  // namespace

void reserve_memory() {
  installed = true;
  restore_memory_reserve();
  if (!has_memory_reserve()) throw std::bad_alloc();
  std::set_new_handler(release_and_fail);
}

void restore_memory_reserve() noexcept {
  if (has_memory_reserve() || !installed) return;
  void* const taken = std::malloc(reserve_bytes);  // not by operator new, which would ask for it
  void* none = nullptr;
  if (!reserve.compare_exchange_strong(none, taken)) std::free(taken);
}

bool has_memory_reserve() noexcept {
  return reserve.load(std::memory_order_relaxed) != nullptr;
}

}  // namespace hearth::daemon
