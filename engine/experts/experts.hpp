// The way to an expert's weights. The forward pass asks for a layer's experts and gets leases that
// become ready by and by, each naming the device of its weights, which computes them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/support/types.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

struct ExpertWeights {
  kernels::Matrix gate;  // [moe_intermediate, hidden]
  kernels::Matrix up;    // [moe_intermediate, hidden]
  kernels::Matrix down;  // [hidden, moe_intermediate]
};

// The weights stay where they are until the lease is destroyed.
class Lease {
 public:
  Lease(ExpertId expert, const ExpertWeights& weights, std::shared_ptr<void> pin)
      : expert_(expert), weights_(weights), pin_(std::move(pin)) {}
  ExpertId expert() const { return expert_; }
  const ExpertWeights& weights() const { return weights_; }

 private:
  ExpertId expert_;
  ExpertWeights weights_;
  std::shared_ptr<void> pin_;  // what keeps the slot from being taken
};

// The experts of one acquire. Destroyed early, it gives up what was not handed out: no read for it
// begins any more, those under way end.
class Leases {
 public:
  virtual ~Leases() = default;
  // Those that are ready, resident ones first; waits while none is. Empty: all were handed out, or
  // interrupted. Leases handed out before should be gone by then: where slots are few, their slots
  // take those that are still missing. Throws Error when an expert cannot be read.
  virtual std::vector<Lease> next() = 0;
};

// What the experts are wanted for: a prefill passes over nearly all of a layer's once and should
// not push out those that decoding comes back to.
enum class Pass : std::uint8_t { decode, prefill };

// For `hearth status` and benchmarks; counts are since the start.
struct ExpertStatus {
  std::uint64_t expert_bytes = 0;  // of one
  std::size_t experts = 0;         // of the checkpoint
  std::size_t slots = 0;           // experts that fit in the budget now
  std::size_t resident = 0;
  std::uint64_t budget_bytes = 0;  // of the slots
  std::uint64_t hits = 0;          // experts asked for and there
  std::uint64_t misses = 0;        // asked for and read, or waited for
  std::uint64_t bytes_read = 0;
  std::uint64_t prefetched = 0;       // read before they were asked for
  std::uint64_t prefetch_useful = 0;  // of these, asked for while still there
  std::uint64_t checked_bytes = 0;    // of what was read, compared with what it was before
  double check_seconds = 0;           // of the reading threads, for that
  double wait_seconds = 0;            // the computing thread had nothing but to wait for reads
  bool warming = false;
  std::size_t warm_done = 0;  // experts of the warm start that are read
  std::size_t warm_total = 0;
  std::string reader;  // "io_uring, past the page cache"
  std::string policy;
};

}  // namespace hearth::engine
