// The CUDA devices of a build with CUDA.
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/device_code.hpp"
#include "kernels/cuda/native_runtime.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels {

std::unique_ptr<Backend> open_cuda(int index) {
  const cuda::Kernels& kernels = cuda::device_code();
  return cuda::make_backend(cuda::native_runtime(index, kernels), kernels);
}

CudaDevices cuda_devices() {
  return cuda::native_devices();
}

}  // namespace hearth::kernels
