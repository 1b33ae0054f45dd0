// What a model costs by its shapes: the bytes that a token reads and the operations that it takes.
// The one model of costs behind benchmarks, plans and estimates.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/checkpoint/weight_tensor.hpp"
#include "engine/engine.hpp"

namespace hearth::engine {

// Costs of one layer, without its routed experts.
struct LayerCost {
  double mixer_bytes = 0;       // weights of the attention or DeltaNet
  double moe_bytes = 0;         // router, shared expert and its gate; of a dense layer its MLP
  double flops = 0;             // of the products above, per token
  double delta_rule_flops = 0;  // DeltaNet, chunked, per token; 0 for attention
  double attention_flops = 0;   // per token and position that it sees; 0 for DeltaNet
};

struct Costs {
  std::vector<LayerCost> layers;
  double expert_bytes = 0;  // of one
  double expert_flops = 0;  // per token
  int experts = 0;          // of a layer
  int experts_per_token = 0;
  double embedding_bytes = 0;  // of the table, which is only looked up
  double head_bytes = 0;       // lm_head
  double shortlist_bytes = 0;  // its 8-bit copy
  double mtp_bytes = 0;        // the MTP head without its experts; 0: there is none
  double head_flops = 0;
  double row_bytes = 0;    // of a token between two layers
  double kv_bytes = 0;     // per position, F32
  double state_bytes = 0;  // DeltaNet states and convolution history of a sequence

  double dense_bytes() const;  // everything that is always in memory
  double all_expert_bytes() const;
  // Read by one decoded token with all experts in memory, from lm_head or its shortlist.
  double decode_bytes(bool shortlisted, double depth = 0) const;
  // Operations of a prefill of `tokens` from `depth` on.
  double prefill_flops(double tokens, double depth = 0) const;
  // Experts of a layer that `tokens` touch at uniform routing.
  double touched(double tokens) const;
};

// With the MTP head or without.
Costs costs_of(const ModelConfig& config, WeightForm form, bool mtp = false);
// The form of a loaded checkpoint's experts.
WeightForm weight_form(const Engine& engine);

// What a plan needs to know of a checkpoint.
struct CheckpointShape {
  ModelConfig config;
  WeightForm form = WeightForm::fp8;
  bool mtp = false;          // whether it has an MTP head
  std::int64_t context = 0;  // tokens that an engine with these options would offer
};
// Reads the configuration and the shards' headers of options.model, no weights. Throws Error.
CheckpointShape read_shape(const EngineOptions& options);

// What a machine can do, bytes and operations a second.
struct MachineSpeed {
  double memory = 0;
  double disk = 0;        // 0: not known, and no matter where nothing is read
  double arithmetic = 0;  // in F32 (kernels::arithmetic_peak)
};

// What the kernels make of it (measure_kernels).
struct KernelSpeed {
  // Operations a second of GEMMs where each matrix gets so many rows.
  struct GemmSpeed {
    double rows = 0;
    double flops = 0;
  };
  double products = 0;          // bytes of weights a second in products of one row
  double shortlist = 0;         // bytes of a shortlist a second, for one row
  std::vector<GemmSpeed> gemm;  // by rising rows
  double delta_rule = 0;        // operations a second of the chunked delta rule
  double attention = 0;         // and of a prefill's attention

  double gemm_flops(double rows) const;
};

// What the kernels usually make of a machine: the shares of its bandwidth and of its peak that were
// measured on two AVX2 cores. For machines that are only described; measure_kernels tells of this
// one.
KernelSpeed usual_kernels(const MachineSpeed& machine, WeightForm form);

// Seconds of a decoded token when in each layer the share `hits` of its experts is in memory:
// reads go on while what is there is computed.
double decode_seconds(const Costs& costs, const MachineSpeed& machine, const KernelSpeed& kernels,
                      double hits, bool shortlisted, double depth = 0);
// Seconds of a prefill when the share `resident` of all experts is in memory and a pass takes
// `chunk` tokens.
double prefill_seconds(const Costs& costs, const MachineSpeed& machine, const KernelSpeed& kernels,
                       double tokens, double resident, double chunk);

// How an engine with these options divides a memory of `view` for a model that costs so; `name` is
// for the error where it does not fit.
MemoryPlan plan_memory(const Costs& costs, const EngineOptions& options, const ModelConfig& config,
                       std::int64_t context, const MemoryView& view, const std::string& name);

// With less than this plan_memory throws.
std::uint64_t min_memory(const Costs& costs);

// Of all experts, the share that such a plan keeps in memory; 1 where there are none.
double resident_share(const MemoryPlan& plan, const Costs& costs);

}  // namespace hearth::engine
