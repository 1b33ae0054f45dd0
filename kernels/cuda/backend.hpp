// Makes the Backend of a CUDA device from a runtime and the kernels that it runs.
#pragma once

#include <memory>

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/runtime.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels::cuda {

// Every operation has the bits of the CPU's definitions. An interrupt keeps operations from being
// queued; what is queued already runs, a few milliseconds of it. That F16 cannot hold a key or
// value is reported by the next call that waits.
std::unique_ptr<Backend> make_backend(std::unique_ptr<Runtime> runtime, const Kernels& kernels);

}  // namespace hearth::kernels::cuda
