// The way to an expert's weights. The forward pass asks for a layer's experts and gets leases that
// become ready one by one, each naming where its weights lie; it computes them there.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/types.hpp"
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
      : expert_(expert), weights_(&weights), pin_(std::move(pin)) {}
  ExpertId expert() const { return expert_; }
  kernels::Place place() const { return weights_->gate.place(); }
  const ExpertWeights& weights() const { return *weights_; }

 private:
  ExpertId expert_;
  const ExpertWeights* weights_;
  std::shared_ptr<void> pin_;  // what keeps a slot from being taken; empty for resident weights
};

// The leases of one acquire, in the order in which they become ready.
class Leases {
 public:
  virtual ~Leases() = default;
  // Waits for the next; empty when all were handed out. Throws Error when one cannot be read.
  virtual std::optional<Lease> next() = 0;
};

// Thread-safe.
class Cache {
 public:
  virtual ~Cache() = default;
  virtual std::unique_ptr<Leases> acquire(LayerId layer, std::span<const ExpertId> experts) = 0;
};

}  // namespace hearth::engine
