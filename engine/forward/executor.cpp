// Memory of the devices for rows, and the end of what went wrong.
#include "engine/forward/executor.hpp"

#include <exception>

namespace hearth::engine {

void Executor::provide(std::size_t device, kernels::Buffer& buffer, std::size_t bytes) {
  if (buffer.bytes() >= bytes) return;
  kernels::Backend& backend = *devices[device].backend;
  if (buffer) backend.wait(backend.queued());  // what is queued uses it
  buffer = {};
  buffer = backend.allocate(bytes);
}

void Executor::provide_for_copies(kernels::Buffer& buffer, std::size_t bytes) {
  if (devices.size() == 1) return provide(0, buffer, bytes);
  if (buffer.bytes() >= bytes) return;
  for (const ComputeDevice& device : devices)
    if (buffer) device.backend->wait(device.backend->queued());
  buffer = {};
  buffer = devices[1].backend->allocate(bytes, kernels::MemoryKind::page_locked);
}

void Executor::abandon() noexcept {
  for (const ComputeDevice& device : devices) {
    try {
      device.backend->finish();
    } catch (const std::exception&) {
      // It has failed before, and that is what the request hears.
    }
  }
}

}  // namespace hearth::engine
