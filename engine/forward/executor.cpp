// Memory of the devices for rows, and the end of what went wrong.
#include "engine/forward/executor.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <utility>

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

void Executor::move(kernels::Buffer& buffer, kernels::Backend& home) {
  if (!buffer || buffer.device() == home.device()) return;
  const auto from = std::ranges::find_if(devices, [&](const ComputeDevice& device) {
    return device.backend->device() == buffer.device();
  });
  std::vector<std::byte> bytes(buffer.bytes());
  from->backend->read(buffer, 0, bytes);
  kernels::Buffer moved = home.allocate(bytes.size());
  home.write(moved, 0, bytes);
  buffer = std::move(moved);
}

void Executor::move(RecurrentState& state) {
  for (std::size_t i = 0; i < state.delta.size(); ++i) {
    move(state.delta[i], *homes.linear[i]);
    move(state.conv[i], *homes.linear[i]);
  }
}

// Memory for rows and for next states is had again where it is needed.
void Executor::move(State& state) {
  state.rows.clear();
  state.spares.clear();
  for (std::size_t i = 0; i < state.kv.size(); ++i) {
    move(state.kv[i].keys, *homes.kv[i]);
    move(state.kv[i].values, *homes.kv[i]);
  }
  move(state.recurrent);
  for (State::Decoded& each : state.decoded) move(each.recurrent);
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
