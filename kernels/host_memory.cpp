// Small buffers come from calloc, large ones from the system, page by page. Either way what free
// needs is just before the aligned bytes.
#include "kernels/host_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/access.hpp"

namespace hearth::kernels {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t huge_page = std::size_t{2} << 20;
// From here on a buffer has pages of its own, huge ones where the system gives them: a product that
// streams weights spends a fifth of its time on address translation otherwise.
constexpr std::size_t own_pages = huge_page;

// The header before the bytes of a buffer.
struct Origin {
  void* begin = nullptr;
  std::size_t bytes = 0;  // of the mapping; 0 where calloc gave it
};

// The first address from `begin` on that is aligned and has room for an Origin before it.
std::byte* place(void* begin, std::size_t align) {
  const std::uintptr_t min = reinterpret_cast<std::uintptr_t>(begin) + sizeof(Origin);
  const std::uintptr_t data = (min + align - 1) / align * align;
  return static_cast<std::byte*>(begin) + (data - reinterpret_cast<std::uintptr_t>(begin));
}

Buffer finish(const Origin& origin, std::byte* data, std::size_t bytes) {
  std::memcpy(data - sizeof origin, &origin, sizeof origin);
  return Access::buffer({}, data, bytes, free_host);
}

Buffer from_heap(std::size_t bytes) {
  void* const whole = std::calloc(bytes + alignment + sizeof(Origin), 1);
  if (whole == nullptr) throw std::bad_alloc();
  return finish({whole, 0}, place(whole, alignment), bytes);
}

Buffer from_system(std::size_t bytes) {
  const std::size_t whole = bytes + 2 * huge_page;
  void* const begin =
      ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) throw std::bad_alloc();
  std::byte* const data = place(begin, huge_page);
  ::madvise(data, bytes, MADV_HUGEPAGE);  // a wish: without, the pages are small
  return finish({begin, whole}, data, bytes);
}

}  // namespace

void free_host(std::byte* data) {
  if (data == nullptr) return;
  Origin origin;
  std::memcpy(&origin, data - sizeof origin, sizeof origin);
  if (origin.bytes == 0) {
    std::free(origin.begin);
  } else {
    ::munmap(origin.begin, origin.bytes);
  }
}

Buffer allocate_host(std::size_t bytes) {
  if (bytes > PTRDIFF_MAX - 2 * huge_page) throw std::bad_alloc();
  return bytes < own_pages ? from_heap(bytes) : from_system(bytes);
}

void discard_host(std::span<std::byte> bytes) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = (begin + page - 1) / page * page;
  const std::uintptr_t last = (begin + bytes.size()) / page * page;
  if (first < last) ::madvise(bytes.data() + (first - begin), last - first, MADV_DONTNEED);
}

}  // namespace hearth::kernels
