// The way to an expert's weights. The forward pass asks for a layer's experts and gets leases that
// become ready by and by, each naming the device of its weights, which computes them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/support/types.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

struct ExpertWeights {
  kernels::Matrix gate;  // [moe_intermediate, hidden]
  kernels::Matrix up;    // [moe_intermediate, hidden]
  kernels::Matrix down;  // [hidden, moe_intermediate]
};

// An expert that is ready. Its weights stay where they are until it is released, or the request
// that it belongs to is over.
struct Lease {
  ExpertId expert;
  ExpertWeights weights;
  std::size_t device = 0;  // that computes it: 0 the host, then the devices in their order
  int slot = -1;           // of that device
};

// The leases of one request, from ExpertCache::lend.
class Leases {
 public:
  // Those that became ready, resident ones first; waits while none did. Empty: all were handed out,
  // or interrupted. Leases handed out before should be released by then: where slots are few, their
  // slots take those that are still missing. Throws Error when an expert cannot be read.
  virtual std::vector<Lease> next() = 0;
  // Nobody computes with these any more: what is missing may be read into their slots.
  virtual void release(std::span<const Lease> leases) = 0;

 protected:
  ~Leases() = default;
};

// What the experts are wanted for: a prefill passes over nearly all of a layer's once and should
// not push out those that decoding comes back to.
enum class Pass : std::uint8_t { decode, prefill };

// The experts in the memory of a device beside the host.
struct DeviceExperts {
  kernels::Device device;
  std::string description;  // for people
  std::size_t slots = 0;
  std::size_t resident = 0;
  std::uint64_t budget_bytes = 0;  // of the slots
  std::uint64_t hits = 0;          // experts asked for and there
  std::uint64_t promoted = 0;      // moved there from the host's memory
  std::uint64_t demoted = 0;       // of those, moved back for others
};

// For `hearth status` and benchmarks; counts are since the start. Slots are the host's.
struct ExpertStatus {
  std::uint64_t expert_bytes = 0;  // of one
  std::size_t experts = 0;         // of the checkpoint
  std::size_t slots = 0;           // experts that fit in the budget now
  std::size_t resident = 0;
  std::uint64_t budget_bytes = 0;   // of the slots
  std::uint64_t hits = 0;           // experts asked for and there, on any device
  std::uint64_t released_hits = 0;  // of these, on devices that were given back since
  std::uint64_t misses = 0;         // asked for and read, or waited for
  std::uint64_t bytes_read = 0;
  std::uint64_t prefetched = 0;       // read before they were asked for
  std::uint64_t prefetch_useful = 0;  // of these, asked for while still there
  std::uint64_t checked_bytes = 0;    // of what was read, compared with what it was before
  double check_seconds = 0;           // of a thread beside, for that
  double check_wait_seconds = 0;      // others had nothing but to wait for it
  double wait_seconds = 0;            // the computing thread had nothing but to wait for reads
  bool warming = false;
  std::size_t warm_done = 0;  // experts of the warm start that are read
  std::size_t warm_total = 0;
  std::vector<DeviceExperts> devices;  // beside the host
  std::string reader;                  // "io_uring, past the page cache"
  std::string policy;
};

}  // namespace hearth::engine
