// A layer's second half: a mixture of experts, with routing, the shared expert and the sum of all;
// or one MLP that every row goes through. The routed experts are expert_groups.cpp.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/forward/parts.hpp"

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::MatMul;
using kernels::Rows;
using kernels::Slice;

// Rows that a dense layer takes at once: bounds its scratch and what an interruption loses.
constexpr std::size_t dense_rows = 256;
// Fewer rows than this want experts as decoding does: they say which ones come next.
constexpr std::size_t prefill_rows = 64;

}  // namespace

Routing route(const Block& block, const kernels::Matrix& router, Slice x) {
  const ModelConfig& config = block.config;
  const Slice scores = block.take(config.num_experts);
  block.matmul({{router, x, scores, block.rows}});
  block.backend.softmax(scores, block.rows, config.num_experts);

  const auto k = static_cast<std::size_t>(config.num_experts_per_tok);
  Routing routing;
  routing.experts.resize(static_cast<std::size_t>(block.rows) * k);
  routing.weights.resize(routing.experts.size());
  block.backend.top_k(scores, block.rows, config.num_experts, config.num_experts_per_tok,
                      routing.experts, routing.weights);
  if (!config.norm_topk_prob) return routing;
  for (std::size_t row = 0; row < static_cast<std::size_t>(block.rows); ++row) {
    const std::span<float> weights(routing.weights.data() + row * k, k);
    float sum = 0;
    for (const float weight : weights) sum += weight;
    for (float& weight : weights) weight /= sum;
  }
  return routing;
}

void gated_mlps(const Block& block, std::span<const ExpertRows> all) {
  const auto hidden_values = [](const ExpertRows& some) {
    return static_cast<std::size_t>(some.rows) *
           static_cast<std::size_t>(some.weights->gate.rows());
  };
  std::size_t total = 0;
  for (const ExpertRows& some : all) total += hidden_values(some);
  const Slice gates = block.space.take(total);
  const Slice ups = block.space.take(total);

  std::vector<MatMul> in;
  std::vector<MatMul> out;
  std::size_t at = 0;
  for (const ExpertRows& some : all) {
    const Slice gate = gates.sub(at, hidden_values(some));
    in.push_back({some.weights->gate, some.x, gate, some.rows});
    in.push_back({some.weights->up, some.x, ups.sub(at, hidden_values(some)), some.rows});
    out.push_back({some.weights->down, gate, some.out, some.rows});
    at += hidden_values(some);
  }
  block.backend.matmul(in, block.form);
  block.backend.silu_mul(gates, ups, gates);
  block.backend.matmul(out, block.form);
}

namespace {

// Normed rows, their routing; memory for what comes of them. False: interrupted.
bool begin_experts(const MoeStep& step, const Layer& layer, Slice x, Taps* taps) {
  const auto& [block, executor, work, memory, interrupt] = step;
  const std::size_t bytes = step.values() * sizeof(float);
  const std::size_t gates = static_cast<std::size_t>(block.rows) * sizeof(float);
  RowBuffers& here = memory[block.device];
  executor.provide(block.device, here.normed, bytes);
  executor.provide(block.device, here.shared, bytes + gates);
  executor.provide(block.device, here.outputs,
                   bytes * static_cast<std::size_t>(block.config.num_experts_per_tok));
  const Slice normed = step.normed(block.device);
  const Rows from{x, block.config.hidden_size};
  block.backend.rms_norm(from, layer.post_attention_layernorm,
                         Rows{normed, block.config.hidden_size}, block.rows,
                         static_cast<int>(block.config.hidden_size), block.config.rms_norm_eps);
  if (block.device != 0) {  // for experts that are not here, along with the picks
    executor.provide_for_copies(memory[0].normed, bytes);
    block.backend.transfer(normed, step.normed(0));
  }
  work.routing = route(block, layer.moe.gate, normed);
  if (!block.backend.finish()) return false;
  // What earlier layers had queued has run by now.
  for (const ComputeDevice& device : executor.devices)
    if (device.staging) device.staging->reset();
  if (taps != nullptr) taps->router.push_back(work.routing.experts);
  work.done.assign(static_cast<std::size_t>(block.config.num_experts), false);
  work.shared_done = false;
  work.routed = true;
  return true;
}

// The experts that are still to be computed, and where their outputs go.
std::vector<ExpertId> wanted_experts(const ExpertWork& work, Places& places) {
  std::vector<ExpertId> wanted;
  places.resize(work.done.size());
  for (std::size_t i = 0; i < work.routing.experts.size(); ++i) {
    const auto expert = static_cast<std::size_t>(work.routing.experts[i]);
    if (work.done[expert]) continue;
    if (places[expert].empty()) wanted.push_back(ExpertId{work.routing.experts[i]});
    places[expert].push_back(static_cast<std::int32_t>(i));
  }
  return wanted;
}

struct SharedExpert {
  Slice out;   // [T][H]
  Slice gate;  // [T]
};

SharedExpert shared_expert_of(const MoeStep& step) {
  const kernels::Buffer& buffer = step.memory[step.block.device].shared;
  return {kernels::slice(buffer, 0, step.values()),
          kernels::slice(buffer, step.values() * sizeof(float),
                         static_cast<std::size_t>(step.block.rows))};
}

// The expert that every row goes to, and its gate. False: interrupted.
bool compute_shared_expert(const MoeStep& step, const Layer& layer) {
  const Block& block = step.block;
  if (step.work.shared_done) return true;
  const auto [out, gate] = shared_expert_of(step);
  const Slice normed = step.normed(block.device);
  block.backend.begin(step.interrupt);
  block.matmul({{layer.moe.shared_expert_gate, normed, gate, block.rows}});
  const ExpertRows all{&layer.moe.shared_expert, normed, out, block.rows};
  gated_mlps(block, std::span(&all, 1));
  return step.work.shared_done = block.settle();
}

// out = x + mlp(norm(x)), in blocks of rows for the scratch's sake. False: interrupted, and the
// block that was under way is lost.
bool dense_half(const Block& whole, const Layer& layer, ExpertWork& work, Slice x, Slice out,
                const std::atomic<bool>* interrupt) {
  const auto rows = static_cast<std::size_t>(whole.rows);
  const std::size_t width = whole.hidden();
  while (work.rows_done < rows) {
    const std::size_t begin = work.rows_done;
    const std::size_t count = std::min(dense_rows, rows - begin);
    whole.space.reset();
    Block block = whole;
    block.rows = static_cast<int>(count);
    const Slice from = x.sub(begin * width, count * width);
    block.backend.begin(interrupt);
    const Slice normed = block.norm(from, layer.post_attention_layernorm);
    const Slice result = block.take(block.config.hidden_size);
    const ExpertRows all{&layer.mlp, normed, result, block.rows};
    gated_mlps(block, std::span(&all, 1));
    block.backend.add(from, result, out.sub(begin * width, count * width));
    if (!block.settle()) return false;
    work.rows_done += count;
  }
  work.rows_done = 0;
  return true;
}

}  // namespace

bool feed_forward(const Block& block, Executor& executor, const Layer& layer, ExpertWork& work,
                  ChunkMemory& memory, Slice x, Slice out, const std::atomic<bool>* interrupt,
                  Taps* taps) {
  if (layer.is_dense()) return dense_half(block, layer, work, x, out, interrupt);
  const MoeStep step{block, executor, work, memory, interrupt};
  Backend& backend = block.backend;
  backend.begin(interrupt);
  if (!work.routed && !begin_experts(step, layer, x, taps)) return false;

  Places places;
  const std::vector<ExpertId> wanted = wanted_experts(work, places);
  const bool many = static_cast<std::size_t>(block.rows) >= prefill_rows;
  bool complete = false;
  // What is missing is read from now on, while what is there is computed.
  executor.experts->lend(
      layer.id, wanted, many ? Pass::prefill : Pass::decode, interrupt, [&](Leases& leases) {
        complete =
            compute_shared_expert(step, layer) && compute_leased_experts(step, places, leases);
      });
  const auto is_done = [&](ExpertId expert) {
    return work.done[static_cast<std::size_t>(expert.value)];
  };
  if (!complete || !std::ranges::all_of(wanted, is_done)) return false;

  const SharedExpert shared = shared_expert_of(step);
  backend.begin(interrupt);
  backend.combine_experts(step.outputs(), work.routing.weights, shared.out, shared.gate, x, out,
                          block.rows, block.config.num_experts_per_tok,
                          static_cast<int>(block.config.hidden_size));
  if (!block.settle()) return false;
  work.routed = false;
  return true;
}

}  // namespace hearth::engine
