// Where the driver says that a device is, and what the kernel says of that place.
#include "daemon/models/gpu_link.hpp"

#include "daemon/platform/gpus.hpp"

namespace hearth::daemon {

std::string link_of(kernels::Device device) {
  const kernels::CudaDevices found = kernels::cuda_devices();
  const auto index = static_cast<std::size_t>(device.index);
  return index < found.devices.size() ? pcie_link(found.devices[index].address) : "";
}

}  // namespace hearth::daemon
