// The texts of all kernels, compiled for the CPU.
#include "kernels/cuda/kernels.cuh"

#include "tests/kernels/cuda/emulated_runtime.hpp"

namespace hearth::kernels::cuda {

const Kernels& emulated_kernels() {
  static const Kernels all = all_kernels();
  return all;
}

}  // namespace hearth::kernels::cuda
