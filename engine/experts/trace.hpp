// A record of which experts were asked for, in order, to compare cache policies on equal terms.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <vector>

#include "engine/experts/experts.hpp"
#include "engine/experts/policy.hpp"

namespace hearth::engine {

// Written as it happens, one line an acquire: "d 3 17 400 …" (decode, layer, experts) or "p …".
class RoutingTrace {
 public:
  // Throws Error where the file cannot be written. Only the user may read it.
  RoutingTrace(const std::filesystem::path& file, int layers, int experts_per_layer);
  void add(LayerId layer, std::span<const ExpertId> experts, Pass pass);

 private:
  std::ofstream out_;
};

struct TraceStep {
  Pass pass = Pass::decode;
  LayerId layer;
  std::vector<ExpertId> experts;
};
struct Trace {
  int layers = 0;
  int experts_per_layer = 0;
  std::vector<TraceStep> steps;
};
// Throws Error naming the line that is no step.
Trace read_trace(const std::filesystem::path& file);

// What a cache would have done. A prefill's experts are looked up, and read past the cache.
struct ReplayResult {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  double hit_rate() const;
};

ReplayResult replay(const Trace& trace, PolicyKind policy, double half_life, std::size_t slots);
// The most hits any policy could have had: gives up what is needed furthest in the future.
ReplayResult replay_optimum(const Trace& trace, std::size_t slots);

}  // namespace hearth::engine
