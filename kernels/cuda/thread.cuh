// What a kernel's text uses of its surroundings: who it is among the threads, barriers, exchange
// within a warp, loads. nvcc has CUDA's; for any other compiler the same names run a kernel on the
// CPU, by the emulator of tests/kernels/cuda, so that the text of every kernel is tested without a
// GPU. A kernel includes nothing else that depends on the compiler.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/runtime.hpp"

#ifdef __CUDACC__

#define HEARTH_KERNEL __global__
#define HEARTH_DEVICE __device__ inline
#define HEARTH_SHARED __shared__
#define HEARTH_ENTRY(...) ::hearth::kernels::cuda::entry(#__VA_ARGS__, &__VA_ARGS__)

namespace hearth::kernels::cuda {

template <class Arguments>
Kernel<Arguments> entry(const char* name, void (*kernel)(Arguments)) {
  return {name, reinterpret_cast<const void*>(kernel)};
}

HEARTH_DEVICE int thread() {
  return static_cast<int>(threadIdx.x);
}
HEARTH_DEVICE int threads() {
  return static_cast<int>(blockDim.x);
}
HEARTH_DEVICE std::int64_t block_x() {
  return blockIdx.x;
}
HEARTH_DEVICE std::int64_t block_y() {
  return blockIdx.y;
}
HEARTH_DEVICE std::int64_t block_z() {
  return blockIdx.z;
}
// Every thread of the block, or none.
HEARTH_DEVICE void barrier() {
  __syncthreads();
}
// Of another lane of the warp, a value of 4 to 16 bytes. Every lane of the warp, or none.
template <class T>
HEARTH_DEVICE T from_lane(const T& value, int lane) {
  struct Words {
    unsigned word[sizeof(T) / 4];
  };
  Words words = std::bit_cast<Words>(value);
  for (unsigned& word : words.word) word = __shfl_sync(0xffffffffu, word, lane);
  return std::bit_cast<T>(words);
}
// A value whose address is a multiple of its size.
template <class T>
HEARTH_DEVICE T load(const void* from) {
  return *static_cast<const T*>(from);
}

}  // namespace hearth::kernels::cuda

#else

#include <cstring>

// Not the function that nvcc makes of the same text for the host, which a linker would take for it.
#define HEARTH_KERNEL static inline
#define HEARTH_DEVICE inline
#define HEARTH_SHARED static thread_local
#define HEARTH_ENTRY(...) ::hearth::kernels::cuda::entry<&__VA_ARGS__>(#__VA_ARGS__)

namespace hearth::kernels::cuda {

// Of the thread that runs; the emulator's.
namespace emulated {
int thread();
int threads();
std::int64_t block(int axis);
void barrier();
void exchange(const void* mine, void* theirs, std::size_t bytes, int lane);  // ≤ 16 bytes
void require_aligned(const void* address, std::size_t alignment);
}  // namespace emulated

template <class Arguments, void (*kernel)(Arguments)>
void call(const void* arguments) {
  Arguments copy;
  std::memcpy(static_cast<void*>(&copy), arguments, sizeof copy);
  kernel(copy);
}
template <class Arguments>
struct Entry {
  template <void (*kernel)(Arguments)>
  static Kernel<Arguments> of(const char* name) {
    return {name, reinterpret_cast<const void*>(&call<Arguments, kernel>)};
  }
};
template <class Arguments>
Entry<Arguments> entry_of(void (*)(Arguments));
template <auto kernel>
auto entry(const char* name) {
  return decltype(entry_of(kernel))::template of<kernel>(name);
}

inline int thread() {
  return emulated::thread();
}
inline int threads() {
  return emulated::threads();
}
inline std::int64_t block_x() {
  return emulated::block(0);
}
inline std::int64_t block_y() {
  return emulated::block(1);
}
inline std::int64_t block_z() {
  return emulated::block(2);
}
inline void barrier() {
  emulated::barrier();
}
template <class T>
T from_lane(const T& value, int lane) {
  T result;
  emulated::exchange(&value, &result, sizeof value, lane);
  return result;
}
template <class T>
T load(const void* from) {
  emulated::require_aligned(from, sizeof(T));
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace hearth::kernels::cuda

#endif

namespace hearth::kernels::cuda {

constexpr int warp = 32;

HEARTH_DEVICE int lane() {
  return thread() % warp;
}

}  // namespace hearth::kernels::cuda
