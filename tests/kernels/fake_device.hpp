// A device without hardware. It calls itself a CUDA device, so that whoever uses it takes the way
// that a GPU's memory takes; but it computes on the CPU, with the CPU's bits.
//
// Nobody else can reach its memory: its handles hold addresses that no pointer may have (outside
// the canonical range), which only it turns back. It has the operations that layers need. They and
// its copies run when somebody waits for them, in order: whoever forgets to wait sees what was
// there before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/ops.hpp"

namespace hearth::kernels::test {

// What a test sees and does of a fake device that others own.
struct FakeDeviceControl {
  std::uint64_t capacity = ~std::uint64_t{0};  // bytes that allocations may take in all
  std::string numerics;                        // what it claims; empty: the CPU's
  std::atomic<bool> refuse_transfers = false;  // queueing a copy is an error
  std::atomic<bool> lost = false;              // what is queued fails when it is to run

  std::atomic<std::uint64_t> to_device = 0;         // copies
  std::atomic<std::uint64_t> from_device = 0;       // copies
  std::atomic<std::uint64_t> bytes = 0;             // allocated now
  std::atomic<std::uint64_t> products = 0;          // computed
  std::atomic<std::uint64_t> synchronisations = 0;  // calls that wait for the queue
};

std::unique_ptr<Backend> make_fake_device(Device device,
                                          std::shared_ptr<FakeDeviceControl> control);

}  // namespace hearth::kernels::test
