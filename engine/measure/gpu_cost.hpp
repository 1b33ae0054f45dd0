// What a GPU beside the host would bring: how its memory is divided, and the times of a token and
// of a prompt, term by term. Predictions alone: no GPU is opened.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/measure/cost.hpp"

namespace hearth::engine {

// Bytes and operations a second, as a card's maker publishes them.
struct GpuSpeed {
  double bandwidth = 0;  // of its memory
  double tensor = 0;     // dense products of F16 summed in F32
  double link = 0;       // over PCIe, one way
};

// What PCIe gives to copies of page-locked memory, one way; generations 1 to 6.
double link_bandwidth(int generation, int lanes);

enum class GpuUse : std::uint8_t {
  layers,   // what the engine does: it computes the layers and the experts in its memory
  prompts,  // what it could do: all prompts on its tensor cores, and the shortlist too
};

// The parts of a GPU's memory, in bytes.
struct GpuMemory {
  std::uint64_t others = 0;  // left to other programs, and to the display
  std::uint64_t driver = 0;  // CUDA's own
  std::uint64_t dense = 0;   // of layers
  std::uint64_t shortlist = 0;
  std::uint64_t kv = 0;  // of one full context
  std::uint64_t states = 0;
  std::uint64_t scratch = 0;
  std::uint64_t experts = 0;
  std::size_t layers = 0;  // that are there, the first ones
};

// How `vram` bytes are divided among what `host` would keep otherwise: the layers go first, as each
// of their bytes is read at every token.
GpuMemory divide_vram(const Costs& costs, const MemoryPlan& host, std::uint64_t vram, GpuUse use);

// Where the experts of a token are, as shares; the rest is read from the disk.
struct TierHits {
  double vram = 0;
  double ram = 0;
  double disk() const { return 1 - vram - ram; }
};

// Seconds of each part; `total` is less than their sum where they run at the same time.
struct TokenTime {
  double gpu = 0;
  double cpu = 0;
  double link = 0;  // experts that change their tier
  double disk = 0;
  double round_trips = 0;  // between host and GPU
  double total = 0;
};

struct GpuMachine {
  MachineSpeed host;
  KernelSpeed kernels;
  GpuSpeed gpu;
};

// A decoded token behind `depth` others.
TokenTime decode_time(const Costs& costs, const GpuMachine& machine, const GpuMemory& memory,
                      TierHits hits, bool shortlisted, double depth);

// Shares of all experts that are in memory.
struct TierShares {
  double vram = 0;
  double ram = 0;
};
// A prompt that is read in passes of `chunk` tokens; `use` as the memory was divided for.
TokenTime prefill_time(const Costs& costs, const GpuMachine& machine, const GpuMemory& memory,
                       GpuUse use, TierShares resident, double tokens, double chunk);

}  // namespace hearth::engine
