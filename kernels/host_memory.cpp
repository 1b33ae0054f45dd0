// calloc with an alignment: the address that free needs stands just before the aligned bytes.
#include "kernels/host_memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels/access.hpp"

namespace hearth::kernels {
namespace {

constexpr std::size_t alignment = 64;

void free_host(std::byte* data) {
  if (data == nullptr) return;
  void* whole = nullptr;
  std::memcpy(&whole, data - sizeof whole, sizeof whole);
  std::free(whole);
}

// Weights are read a third faster from huge pages. Only advice: a system without them loses
// nothing.
void advise_huge_pages(std::byte* data, std::size_t bytes) {
  constexpr std::uintptr_t huge = std::uintptr_t{2} << 20;
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(data) + huge - 1) / huge * huge;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(data) + bytes) / huge * huge;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace

Buffer allocate_host(std::size_t bytes) {
  const std::size_t extra = alignment + sizeof(void*);
  void* const whole = bytes <= PTRDIFF_MAX - extra ? std::calloc(bytes + extra, 1) : nullptr;
  if (whole == nullptr)
    throw Error("there is no memory for another " + std::to_string(bytes) + " bytes");
  auto* const end = static_cast<std::byte*>(whole) + extra;
  std::byte* const data = end - reinterpret_cast<std::uintptr_t>(end) % alignment;
  std::memcpy(data - sizeof whole, &whole, sizeof whole);
  advise_huge_pages(data, bytes);
  return Access::buffer({}, data, bytes, free_host);
}

}  // namespace hearth::kernels
