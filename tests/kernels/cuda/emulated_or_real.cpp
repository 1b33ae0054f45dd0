// backend_under_test: see emulated_runtime.hpp.
#include <cstdlib>

#include "tests/kernels/cuda/emulated_runtime.hpp"

namespace hearth::kernels::cuda {

bool gpu_is_real() {
  return std::getenv("HEARTH_GPU") != nullptr;
}

std::unique_ptr<Backend> backend_under_test(Device device,
                                            std::shared_ptr<EmulatedControl> control) {
  return gpu_is_real() ? open_cuda(device.index) : emulated_backend(device, std::move(control));
}

}  // namespace hearth::kernels::cuda
