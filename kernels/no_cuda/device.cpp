// The stub for a build without CUDA: it reports that there are no devices.
#include "kernels/ops.hpp"

namespace hearth::kernels {

std::unique_ptr<Backend> open_cuda(int index) {
  throw Error("CUDA device " + std::to_string(index) +
              " cannot be used: this hearth was built without CUDA");
}

int cuda_device_count() {
  return 0;
}

}  // namespace hearth::kernels
