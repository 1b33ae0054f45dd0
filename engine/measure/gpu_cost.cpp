// Times of a machine with a GPU. The shares of a card's published figures are assumptions, as no
// card has run this yet; they stand here together, and none is fitted to a wanted result.
#include "engine/measure/gpu_cost.hpp"

#include <algorithm>

namespace hearth::engine {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t driver_memory = 500 * mebibyte;  // a context with its kernels
constexpr double product_share = 0.75;  // of the bandwidth, in products of few rows
constexpr double mma_share = 0.60;      // of the tensor cores' peak
constexpr double f32_of_tensor = 0.5;   // F32 beside `tensor` on GeForce cards
constexpr double gemm_share = 0.15;     // of F32, by the CPU's order of summation
constexpr double vector_share = 0.30;   // of F32: delta rule and attention
constexpr double link_share = 0.83;     // what protocols leave of PCIe's rate
constexpr double launch = 2e-6;         // seconds of a kernel with little to do
constexpr double layer_launches = 20;
constexpr double expert_launches = 4;
constexpr double round_trip = 40e-6;
// Experts that go up after a layer's step, at most (engine/experts/cache_devices.cpp).
constexpr double moves_per_step = 2;

std::uint64_t whole(double value) {
  return static_cast<std::uint64_t>(value);
}

double dense_of(const LayerCost& layer) {
  return layer.mixer_bytes + layer.moe_bytes;
}

// F16 parts whose products make one of F32's: FP8 weights are exact in F16, BF16's are not.
double parts_of(const Costs& costs) {
  const double weights = costs.expert_flops / 2;
  constexpr double bytes_of_fp8 = 1.5;  // a weight with its scales takes less
  return weights > 0 && costs.expert_bytes / weights < bytes_of_fp8 ? 2 : 3;
}

}  // namespace

double link_bandwidth(int generation, int lanes) {
  double lane = 0.985e9;  // of the third; the first two code eight bits in ten
  if (generation <= 2) lane = generation == 1 ? 0.25e9 : 0.5e9;
  for (int i = 3; i < generation; ++i) lane *= 2;
  return link_share * lane * lanes;
}

GpuMemory divide_vram(const Costs& costs, const MemoryPlan& host, std::uint64_t vram, GpuUse use) {
  GpuMemory memory;
  std::uint64_t left = vram;
  const auto take = [&](std::uint64_t wanted) {
    const std::uint64_t taken = std::min(left, wanted);
    left -= taken;
    return taken;
  };
  memory.others = take(vram_for_others);
  memory.driver = take(driver_memory);
  memory.scratch = take(vram_scratch + host.scratch);
  const auto layers = static_cast<std::uint64_t>(costs.layers.size());
  for (const LayerCost& layer : costs.layers) {
    const std::uint64_t weights = whole(dense_of(layer));
    const std::uint64_t kv = host.kv / layers;
    const std::uint64_t states = host.states / layers;
    if (weights + kv + states > left) break;
    memory.dense += take(weights);
    memory.kv += take(kv);
    memory.states += take(states);
    ++memory.layers;
  }
  if (use == GpuUse::prompts && memory.layers == layers && host.shortlist <= left)
    memory.shortlist = take(host.shortlist);
  memory.experts = take(whole(costs.all_expert_bytes()));
  return memory;
}

TokenTime decode_time(const Costs& costs, const GpuMachine& machine, const GpuMemory& memory,
                      TierHits hits, bool shortlisted, double depth) {
  const double gpu_products = product_share * machine.gpu.bandwidth;
  const double cpu_products = machine.kernels.products;
  const double routed = costs.experts_per_token * costs.expert_bytes;
  const double moved = std::min(moves_per_step, hits.disk() * costs.experts_per_token);
  const auto layers = static_cast<double>(costs.layers.size());
  const double moving = (depth * costs.kv_bytes + 2 * costs.state_bytes) / layers;

  TokenTime time;
  for (std::size_t i = 0; i < costs.layers.size(); ++i) {
    const bool there = i < memory.layers;
    const double dense = dense_of(costs.layers[i]);
    const double gpu_dense =
        there ? dense / gpu_products + moving / machine.gpu.bandwidth + layer_launches * launch : 0;
    const double cpu_dense = there ? 0 : dense / cpu_products + moving / machine.host.memory;
    const double gpu_experts =
        hits.vram > 0 ? hits.vram * routed / gpu_products + expert_launches * launch : 0;
    // What was read is computed there, too; the last of it when no other is read any more.
    const double cpu_experts = (1 - hits.vram) * routed / cpu_products;
    const double read = hits.disk() > 0 ? hits.disk() * routed / machine.host.disk : 0;
    const double last = hits.disk() > 0 ? costs.expert_bytes / cpu_products : 0;
    const double trip = there || hits.vram > 0 ? round_trip : 0;
    // As many go up as are read, and as many come down. They are queued before the layer.
    const double copies = hits.vram > 0 ? 2 * moved * costs.expert_bytes / machine.gpu.link : 0;
    const double late_copies = std::max(0.0, copies - gpu_dense - cpu_dense);
    time.gpu += gpu_dense + gpu_experts;
    time.cpu += cpu_dense + cpu_experts;
    time.link += copies;
    time.disk += read;
    time.round_trips += trip;
    time.total += gpu_dense + cpu_dense +
                  std::max({cpu_experts, late_copies + trip + gpu_experts, read + last});
  }
  const double head = costs.head_bytes > 0 ? costs.head_bytes : costs.embedding_bytes;
  if (memory.shortlist > 0) {
    const double seconds = costs.shortlist_bytes / gpu_products;
    time.gpu += seconds;
    time.total += seconds;
  } else {
    const double seconds = shortlisted ? costs.shortlist_bytes / machine.kernels.shortlist
                                       : head / machine.kernels.products;
    time.cpu += seconds;
    time.total += seconds;
  }
  return time;
}

TokenTime prefill_time(const Costs& costs, const GpuMachine& machine, const GpuMemory& memory,
                       GpuUse use, TierShares resident, double tokens, double chunk) {
  const auto layers = static_cast<double>(costs.layers.size());
  LayerCost here;   // sums over the host's layers
  LayerCost there;  // and over the GPU's
  for (std::size_t i = 0; i < costs.layers.size(); ++i) {
    const LayerCost& layer = costs.layers[i];
    LayerCost& sum = use == GpuUse::prompts || i < memory.layers ? there : here;
    sum.flops += layer.flops;
    sum.delta_rule_flops += layer.delta_rule_flops;
    sum.attention_flops += layer.attention_flops;
    sum.mixer_bytes += layer.mixer_bytes;
    sum.moe_bytes += layer.moe_bytes;
  }
  const KernelSpeed& kernels = machine.kernels;
  const double gpu_f32 = f32_of_tensor * machine.gpu.tensor;
  const double to_read = std::max(0.0, 1 - resident.vram - resident.ram);
  TokenTime time;
  for (double done = 0; done < tokens; done += chunk) {
    const double rows = std::min(chunk, tokens - done);
    const double touched = costs.touched(rows);
    const double routed = rows * costs.experts_per_token;  // rows that experts compute
    const double expert_flops = layers * routed * costs.expert_flops;
    const double depth = done + rows / 2;  // that a row sees
    const double all_experts = touched * layers * costs.expert_bytes;
    const double read = to_read > 0 ? to_read * all_experts / machine.host.disk : 0;
    const double gpu_vectors =
        rows * (there.delta_rule_flops + there.attention_flops * depth) / (vector_share * gpu_f32);
    if (use == GpuUse::layers) {
      double host = here.flops > 0 ? rows * here.flops / kernels.gemm_flops(rows) : 0;
      if (here.delta_rule_flops > 0) host += rows * here.delta_rule_flops / kernels.delta_rule;
      if (here.attention_flops > 0) host += rows * here.attention_flops * depth / kernels.attention;
      const double device = rows * there.flops / (gemm_share * gpu_f32) + gpu_vectors;
      const double cpu =
          routed > 0 ? (1 - resident.vram) * expert_flops / kernels.gemm_flops(routed / touched)
                     : 0;
      const double gpu = resident.vram * expert_flops / (gemm_share * gpu_f32);
      // A layer's rows down, and what the host's experts make of them up.
      const double copied = static_cast<double>(memory.layers) * costs.row_bytes *
                            (routed > 0 ? rows + (1 - resident.vram) * routed : 0);
      const double link = copied / machine.gpu.link;
      time.gpu += device + gpu;
      time.cpu += host + cpu;
      time.link += link;
      time.disk += read;
      time.total += std::max(host + device + link + std::max(cpu, gpu), read);
    } else {
      const double gpu =
          parts_of(costs) * (rows * there.flops + expert_flops) / (mma_share * machine.gpu.tensor) +
          gpu_vectors;
      const double absent = dense_of(there) - static_cast<double>(memory.dense);
      const double link = ((1 - resident.vram) * all_experts + absent) / machine.gpu.link;
      time.gpu += gpu;
      time.link += link;
      time.disk += read;
      time.total += std::max({gpu, link, read});
    }
  }
  const double head = costs.head_bytes > 0 ? costs.head_bytes : costs.embedding_bytes;
  time.cpu += head / kernels.products;
  time.total += head / kernels.products;
  return time;
}

}  // namespace hearth::engine
