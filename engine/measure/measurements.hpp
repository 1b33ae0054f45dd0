// The engine's face for benchmarks and plans: runs with a clock beside them, what the machine
// gives, the model of costs and the traces that cache policies are compared on.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/engine.hpp"
#include "engine/experts/trace.hpp"
#include "engine/measure/checkpoint_files.hpp"
#include "engine/measure/copy.hpp"
#include "engine/measure/cost.hpp"
#include "engine/measure/gpu_cost.hpp"
#include "engine/measure/kernel_speed.hpp"
#include "kernels/measure.hpp"

namespace hearth::engine {

// Memory and arithmetic of this machine with the engine's threads; the disk as below, for 3
// seconds.
MachineSpeed measure_machine(Runtime& runtime);

// Copies to and from CUDA device n, which is opened for that; throws kernels::Error.
kernels::LinkSpeed measure_link(int index);

// The most memory that this process had resident so far, in bytes.
std::uint64_t peak_resident();

// Bytes a second of reading experts from the checkpoint's files as the engine does, one after the
// other, nothing else going on: random experts for about `seconds`, the median of some spans. 0
// where the model has no experts.
double disk_bandwidth(Runtime& runtime, double seconds);

// Seconds that one resident expert takes when a token's experts are computed together.
double expert_seconds(Runtime& runtime);

struct DecodeRun {
  std::size_t tokens = 0;
  double seconds = 0;
  double mixers = 0;   // seconds of attention and DeltaNet
  double experts = 0;  // of routers and experts, waiting included
  double head = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t prefetched = 0;       // as in ExpertStatus
  std::uint64_t prefetch_useful = 0;  // there too
  double check_seconds = 0;           // of a thread beside, to compare what came with before
  double check_wait_seconds = 0;      // of them, what the computing thread waited for
  // For every token and layer: how many experts were there, and how many had to be read.
  struct Layer {
    std::uint32_t hits = 0;
    std::uint32_t misses = 0;
  };
  std::vector<Layer> layers;
};
// Decodes made-up tokens, all different, so that routing does not repeat itself. Ends early when
// *interrupt becomes true.
DecodeRun decode(Session& session, std::size_t tokens, const std::atomic<bool>* interrupt);

struct PrefillRun {
  std::size_t tokens = 0;
  double seconds = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t bytes_read = 0;
};
// Reads a made-up prompt; `seed` makes another one.
PrefillRun prefill(Session& session, std::size_t tokens, std::uint64_t seed,
                   const std::atomic<bool>* interrupt);

// Interrupts a prefill of a made-up prompt at `times` moments and goes on each time: how many
// seconds the engine took to stop.
std::vector<double> interrupt_prefill(Session& session, std::size_t tokens, int times);
// The same of made-up tokens that are decoded behind what the session holds.
std::vector<double> interrupt_decode(Session& session, int times);

// Empties the expert cache. Its memory stays the process's, so that what follows is measured
// without the system's first handing out of pages.
void forget_experts(Runtime& runtime);
struct WarmUp {
  std::size_t experts = 0;
  std::uint64_t bytes_read = 0;
  double seconds = 0;
};
// Reads what was used most lately, as a restart does, as much as there are slots for.
WarmUp warm_experts(Runtime& runtime, const std::atomic<bool>* interrupt);
// Waits until the warm start is over.
void wait_until_warm(const Runtime& runtime, const std::atomic<bool>* interrupt);

// The least time a decode could have taken: in every layer what is dense, then the longer of its
// reads and its resident experts; then the head. From terms measured apart.
double min_seconds(const DecodeRun& run, const Costs& costs, const MachineSpeed& machine,
                   double expert_seconds);

}  // namespace hearth::engine
