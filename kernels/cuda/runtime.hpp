// What hearth needs of a CUDA device: memory, and a queue of copies and kernels. The host's code
// sees nothing else of CUDA, so that a runtime without hardware can take its place in tests.
//
// One thread at a time. Every call throws LostDevice, which names the device and the call, once the
// device has failed: such failures do not go away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/ops.hpp"

namespace hearth::kernels::cuda {

struct Grid {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

// A kernel takes one value of type Arguments. What `entry` is, only the runtime knows that runs it.
template <class Arguments>
struct Kernel {
  const char* name = "";
  const void* entry = nullptr;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual Device device() const = 0;
  virtual std::string description() const = 0;  // for people: "NVIDIA GeForce RTX 3070 Ti"

  virtual DeviceMemory memory() = 0;

  // Zeroed, when what is queued after this runs; page-locked memory at once. Throws DeviceFull
  // where there is no room. What is queued must not touch memory that has been freed.
  virtual Buffer allocate(std::size_t bytes, MemoryKind kind) = 0;

  // Queued, in order. Memory of the host that a copy touches must stay as it is until the copy has
  // run.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  template <class Arguments>
  void launch(const Kernel<Arguments>& kernel, Grid grid, unsigned threads,
              const Arguments& arguments) {
    // What a kernel's parameters may take on every device.
    static_assert(sizeof(Arguments) <= 4096);
    launch(kernel.name, kernel.entry, grid, threads, &arguments, sizeof arguments);
  }

  // The end of what is queued now, as a number that rises with each call; 0 has passed.
  virtual std::uint64_t record() = 0;
  virtual bool passed(std::uint64_t mark) = 0;  // without waiting
  virtual void wait(std::uint64_t mark) = 0;

 protected:
  // Copies the arguments. Blocks are one-dimensional.
  virtual void launch(const char* name, const void* entry, Grid grid, unsigned threads,
                      const void* arguments, std::size_t bytes) = 0;
};

}  // namespace hearth::kernels::cuda
