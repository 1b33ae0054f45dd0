// The stub for a build without CUDA: it reports that there are no devices.
#include "kernels/ops.hpp"

namespace hearth::kernels {

std::unique_ptr<Backend> open_cuda(int index) {
  throw Error("CUDA device " + std::to_string(index) +
              " cannot be used: " + cuda_devices().missing);
}

CudaDevices cuda_devices() {
  return {.built = false,
          .count = 0,
          .missing = "this hearth was built without CUDA",
          .needed_driver = {},
          .devices = {}};
}

}  // namespace hearth::kernels
