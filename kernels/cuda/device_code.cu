// What nvcc compiles: all kernels for the GPU.
#include "kernels/cuda/device_code.hpp"

#include "kernels/cuda/kernels.cuh"

namespace hearth::kernels::cuda {

const Kernels& device_code() {
  static const Kernels all = all_kernels();
  return all;
}

}  // namespace hearth::kernels::cuda
