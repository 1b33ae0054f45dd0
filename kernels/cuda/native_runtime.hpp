// The runtime of a real device, on NVIDIA's runtime library.
#pragma once

#include <memory>

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

// Device n, with these kernels of nvcc's loaded. Throws Error with the reason where there is none.
std::unique_ptr<Runtime> native_runtime(int index, const Kernels& kernels);

CudaDevices native_devices();

}  // namespace hearth::kernels::cuda
