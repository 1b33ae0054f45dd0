// Runs a kernel on the CPU: one fiber for each thread of a block, and which one goes on is random
// between barriers; blocks run one after another in random order. What is wrong with a kernel's
// synchronisation is an exception: a barrier that not all threads reach, an exchange that not all
// lanes of a warp take part in, a load from an address that the GPU would refuse. A barrier that is
// missing shows as a wrong result.
//
// Not emulated: threads of two blocks at the same time, and the order in which a GPU makes one
// thread's writes visible to others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

// One thread at a time; keeps its fibers.
class Emulator {
 public:
  explicit Emulator(std::uint32_t seed);
  ~Emulator();

  // `entry` is that of a Kernel of this compiler.
  void run(const char* name, const void* entry, Grid grid, unsigned threads, const void* arguments);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace hearth::kernels::cuda
