// calloc with an alignment: the address that free needs stands just before the aligned bytes.
#include "kernels/host_memory.hpp"

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

}  // namespace

Buffer allocate_host(std::size_t bytes) {
  const std::size_t extra = alignment + sizeof(void*);
  void* const whole = bytes <= PTRDIFF_MAX - extra ? std::calloc(bytes + extra, 1) : nullptr;
  if (whole == nullptr)
    throw Error("there is no memory for another " + std::to_string(bytes) + " bytes");
  auto* const end = static_cast<std::byte*>(whole) + extra;
  std::byte* const data = end - reinterpret_cast<std::uintptr_t>(end) % alignment;
  std::memcpy(data - sizeof whole, &whole, sizeof whole);
  return Access::buffer({}, data, bytes, free_host);
}

}  // namespace hearth::kernels
