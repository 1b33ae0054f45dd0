// A CUDA device without hardware, for the host's side of kernels/cuda: everything that a real one
// may put off, this one puts off. What is queued runs when somebody waits for it, or at random a
// little earlier; it reads its sources then, and not when it was queued. Memory that is freed is
// filled with NaN and stays so; each allocation ends at a page that faults. Every call can be made
// to fail.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

// ThreadSanitizer takes the fibers of one thread for threads: where it watches, nothing is
// emulated.
#if defined(__SANITIZE_THREAD__)
constexpr bool can_emulate = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool can_emulate = false;
#else
constexpr bool can_emulate = true;
#endif
#else
constexpr bool can_emulate = true;
#endif

// What a test sees and does of an emulated device that others own.
struct EmulatedControl {
  std::uint32_t seed = 1;
  std::uint64_t capacity = ~std::uint64_t{0};  // bytes of the device's memory
  std::atomic<std::uint64_t> taken = 0;        // of them, by other programs
  // From this call on, counted from 1, all fail: the device is lost.
  std::atomic<std::uint64_t> fail_from = ~std::uint64_t{0};
  // Faults planted in the host's code: this wait, counted from 1, returns at once.
  std::atomic<std::uint64_t> forgotten_wait = 0;

  std::atomic<std::uint64_t> calls = 0;
  std::atomic<std::uint64_t> waits = 0;  // those for something that has not run
  std::atomic<std::uint64_t> launches = 0;
  std::atomic<std::uint64_t> copies = 0;
  std::atomic<std::uint64_t> copied_bytes = 0;
  std::atomic<std::uint64_t> allocations = 0;
  std::atomic<std::uint64_t> bytes = 0;  // allocated now, of the device's memory
};

std::unique_ptr<Runtime> emulated_runtime(Device device, std::shared_ptr<EmulatedControl> control);

// All kernels, as this compiler has made them.
const Kernels& emulated_kernels();

// A device with these kernels.
std::unique_ptr<Backend> emulated_backend(Device device, std::shared_ptr<EmulatedControl> control);

// What bits are compared on: where the environment has HEARTH_GPU, the machine's own device of that
// number, which knows nothing of `control`; else an emulated one.
bool gpu_is_real();
std::unique_ptr<Backend> backend_under_test(Device device,
                                            std::shared_ptr<EmulatedControl> control);

}  // namespace hearth::kernels::cuda
