// A layer's second half: a mixture of experts, with routing, the experts as they become ready and
// their sum; or one MLP that every row goes through.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <vector>

#include "engine/forward/parts.hpp"

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::MatMul;
using kernels::Rows;
using kernels::Slice;

// Rows, counted once per expert, that a group of experts takes at once: bounds its scratch and what
// an interruption loses.
constexpr std::size_t expert_rows = 1024;
// Experts of such a group: their slots are free again afterwards, and reading goes on into them.
constexpr std::size_t group_experts = 16;
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

namespace {

// Rows [rows][H] through one expert.
struct ExpertRows {
  const ExpertWeights* weights = nullptr;
  Slice x;
  Slice out;
  int rows = 0;
};

// out = down(silu(gate(x)) · up(x)) for each, computed together.
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

// Where each expert's outputs go in [T][k], in order of rows; by expert.
using Places = std::vector<std::vector<std::int32_t>>;

// The experts' outputs, to work.outputs.
void compute_experts(const Block& block, ExpertWork& work, std::span<const Lease> leases,
                     const Places& places_of) {
  Backend& backend = block.backend;
  const auto k = block.config.num_experts_per_tok;
  const int hidden = static_cast<int>(block.config.hidden_size);
  const std::size_t width = block.hidden();
  const Slice normed = kernels::slice(work.normed);
  const Slice outputs = kernels::slice(work.outputs);

  std::vector<ExpertRows> all;
  for (const Lease& lease : leases) {
    const std::vector<std::int32_t>& places =
        places_of[static_cast<std::size_t>(lease.expert.value)];
    ExpertRows some{&lease.weights, {}, {}, static_cast<int>(places.size())};
    if (some.rows == 1) {  // stays where it is
      const auto place = static_cast<std::size_t>(places.front());
      some.x = normed.sub(place / static_cast<std::size_t>(k) * width, width);
      some.out = outputs.sub(place * width, width);
    } else {
      std::vector<std::int32_t> rows;
      rows.reserve(places.size());
      for (const std::int32_t place : places) rows.push_back(place / k);
      some.x = block.space.take(rows.size() * width);
      some.out = block.space.take(rows.size() * width);
      backend.gather_rows(normed, hidden, rows, some.x);
    }
    all.push_back(some);
  }
  gated_mlps(block, all);
  for (std::size_t i = 0; i < leases.size(); ++i) {
    const auto expert = static_cast<std::size_t>(leases[i].expert.value);
    if (all[i].rows > 1) backend.scatter_rows(all[i].out, hidden, places_of[expert], outputs);
  }
}

// Normed rows, their routing; the work's buffers. False: interrupted.
bool begin_experts(const Block& block, const Layer& layer, ExpertWork& work, Slice x, Taps* taps) {
  const auto rows = static_cast<std::size_t>(block.rows);
  const std::size_t row_bytes = block.hidden() * sizeof(float);
  if (!work.outputs) {  // the last one that is allocated
    const auto k = static_cast<std::size_t>(block.config.num_experts_per_tok);
    work.normed = block.backend.allocate(rows * row_bytes);
    work.shared = block.backend.allocate(rows * (row_bytes + sizeof(float)));
    work.outputs = block.backend.allocate(rows * k * row_bytes);
  }
  const Slice normed = kernels::slice(work.normed);
  const Rows from{x, block.config.hidden_size};
  block.backend.rms_norm(from, layer.post_attention_layernorm,
                         Rows{normed, block.config.hidden_size}, block.rows,
                         static_cast<int>(block.config.hidden_size), block.config.rms_norm_eps);
  work.routing = route(block, layer.moe.gate, normed);
  if (!block.backend.finish()) return false;
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

SharedExpert shared_expert_of(const Block& block, const ExpertWork& work) {
  const auto rows = static_cast<std::size_t>(block.rows);
  const std::size_t values = rows * block.hidden();
  return {kernels::slice(work.shared, 0, values),
          kernels::slice(work.shared, values * sizeof(float), rows)};
}

// The expert that every row goes to, and its gate. False: interrupted.
bool compute_shared_expert(const Block& block, const Layer& layer, ExpertWork& work,
                           const std::atomic<bool>* interrupt) {
  if (work.shared_done) return true;
  const auto [out, gate] = shared_expert_of(block, work);
  const Slice normed = kernels::slice(work.normed);
  block.backend.begin(interrupt);
  block.matmul({{layer.moe.shared_expert_gate, normed, gate, block.rows}});
  const ExpertRows all{&layer.moe.shared_expert, normed, out, block.rows};
  gated_mlps(block, std::span(&all, 1));
  work.shared_done = block.backend.finish();
  return work.shared_done;
}

// How many of these are computed together.
std::size_t group_size(std::span<const Lease> leases, const Places& places) {
  std::size_t size = 0;
  for (std::size_t rows = 0; size < leases.size() && rows < expert_rows && size < group_experts;
       ++size)
    rows += places[static_cast<std::size_t>(leases[size].expert.value)].size();
  return size;
}

// What a device was given to compute, and where its outputs will be once it has finished.
struct DeviceGroup {
  const ComputeDevice* device = nullptr;
  std::vector<std::int32_t> places;  // of the outputs in [T][k], expert by expert
  Slice outputs;                     // [places][H], the host's
};

// Has the device begin: the rows that its experts see go there, their outputs come back.
DeviceGroup begin_on_device(const Block& block, const ComputeDevice& device, const ExpertWork& work,
                            std::span<const Lease> leases, const Places& places_of,
                            const std::atomic<bool>* interrupt) {
  Backend& backend = *device.backend;
  const Block there{block.config, backend,    *device.workspace,
                    block.form,   block.rows, block.position};
  const auto k = block.config.num_experts_per_tok;
  const int hidden = static_cast<int>(block.config.hidden_size);
  const std::size_t width = block.hidden();

  DeviceGroup group{&device, {}, {}};
  std::vector<std::int32_t> rows;  // of the chunk, each once
  for (const Lease& lease : leases) {
    const auto& places = places_of[static_cast<std::size_t>(lease.expert.value)];
    group.places.insert(group.places.end(), places.begin(), places.end());
    for (const std::int32_t place : places) rows.push_back(place / k);
  }
  std::ranges::sort(rows);
  rows.erase(std::ranges::unique(rows).begin(), rows.end());

  const Slice here = device.staging->take(rows.size() * width);
  block.backend.gather_rows(kernels::slice(work.normed), hidden, rows, here);
  const Slice x = there.space.take(rows.size() * width);
  const Slice outputs = there.space.take(group.places.size() * width);
  group.outputs = device.staging->take(group.places.size() * width);

  backend.begin(interrupt);
  backend.transfer(here, x);
  std::vector<ExpertRows> all;
  std::size_t done = 0;  // outputs
  for (const Lease& lease : leases) {
    const auto& places = places_of[static_cast<std::size_t>(lease.expert.value)];
    std::vector<std::int32_t> mine;  // rows of x
    mine.reserve(places.size());
    for (const std::int32_t place : places)
      mine.push_back(
          static_cast<std::int32_t>(std::ranges::lower_bound(rows, place / k) - rows.begin()));
    ExpertRows some{&lease.weights, {}, {}, static_cast<int>(mine.size())};
    some.out = outputs.sub(done * width, mine.size() * width);
    if (some.rows == 1) {
      some.x = x.sub(static_cast<std::size_t>(mine.front()) * width, width);
    } else {
      some.x = there.space.take(mine.size() * width);
      backend.gather_rows(x, hidden, mine, some.x);
    }
    done += mine.size();
    all.push_back(some);
  }
  gated_mlps(there, all);
  backend.transfer(outputs, group.outputs);
  return group;
}

// Waits for the device, and takes its outputs. False: interrupted.
bool end_on_device(const Block& block, ExpertWork& work, const DeviceGroup& group) {
  if (!group.device->backend->finish()) return false;
  block.backend.scatter_rows(group.outputs, static_cast<int>(block.config.hidden_size),
                             group.places, kernels::slice(work.outputs));
  return true;
}

std::span<const ComputeDevice> beside_host(const Executor& executor) {
  return std::span(executor.devices).subspan(1);
}

// Nothing of an earlier group is under way on the devices, whatever went wrong there.
void abandon(Executor& executor) noexcept {
  for (const ComputeDevice& device : beside_host(executor)) {
    try {
      device.backend->finish();
    } catch (const std::exception&) {
      // It has failed before, and that is what the request hears.
    }
  }
}

// One group of experts of each device, at the same time. False: interrupted.
bool compute_groups(const Block& block, Executor& executor, ExpertWork& work, const Places& places,
                    std::span<const std::span<const Lease>> groups,
                    const std::atomic<bool>* interrupt) try {
  executor.workspace().reset();
  block.backend.begin(interrupt);
  std::vector<DeviceGroup> begun;
  for (std::size_t i = 1; i < groups.size(); ++i) {
    const ComputeDevice& device = executor.devices[i];
    if (groups[i].empty()) continue;
    device.workspace->reset();
    device.staging->reset();
    begun.push_back(begin_on_device(block, device, work, groups[i], places, interrupt));
  }
  if (!groups[0].empty()) compute_experts(block, work, groups[0], places);
  bool complete = block.backend.finish();
  for (const DeviceGroup& group : begun) complete = end_on_device(block, work, group) && complete;
  return complete;
} catch (...) {
  abandon(executor);
  throw;
}

// The experts, as they become ready. False: interrupted.
bool compute_leased_experts(const Block& block, Executor& executor, ExpertWork& work,
                            const Places& places, Leases& leases,
                            const std::atomic<bool>* interrupt) {
  for (;;) {
    std::vector<Lease> ready = leases.next();
    if (ready.empty()) return true;
    if (executor.devices.size() > 1) std::ranges::stable_sort(ready, {}, &Lease::device);
    std::vector<std::span<const Lease>> rest(executor.devices.size());  // by device
    for (std::span<const Lease> all = ready; !all.empty();) {
      const auto other = [&](const Lease& lease) { return lease.device != all.front().device; };
      const auto end = std::ranges::find_if(all, other);
      const auto count = static_cast<std::size_t>(end - all.begin());
      rest[all.front().device] = all.first(count);
      all = all.subspan(count);
    }
    const auto is_empty = [](std::span<const Lease> some) { return some.empty(); };
    while (!std::ranges::all_of(rest, is_empty)) {
      std::vector<std::span<const Lease>> groups = rest;
      for (std::span<const Lease>& group : groups) group = group.first(group_size(group, places));
      if (!compute_groups(block, executor, work, places, groups, interrupt)) return false;
      for (std::size_t i = 0; i < groups.size(); ++i) {
        for (const Lease& lease : groups[i])
          work.done[static_cast<std::size_t>(lease.expert.value)] = true;
        rest[i] = rest[i].subspan(groups[i].size());
        if (!groups[i].empty()) leases.release(groups[i]);
      }
    }
  }
}

// out = x + mlp(norm(x)), in blocks of rows for the scratch's sake. False: interrupted, and the
// block that was under way is lost.
bool dense_half(const Block& whole, Executor& executor, const Layer& layer, ExpertWork& work,
                Slice x, Slice out, const std::atomic<bool>* interrupt) {
  const auto rows = static_cast<std::size_t>(whole.rows);
  const std::size_t width = whole.hidden();
  while (work.rows_done < rows) {
    const std::size_t begin = work.rows_done;
    const std::size_t count = std::min(dense_rows, rows - begin);
    executor.workspace().reset();
    Block block = whole;
    block.rows = static_cast<int>(count);
    const Slice from = x.sub(begin * width, count * width);
    block.backend.begin(interrupt);
    const Slice normed = block.norm(from, layer.post_attention_layernorm);
    const Slice result = block.take(block.config.hidden_size);
    const ExpertRows all{&layer.mlp, normed, result, block.rows};
    gated_mlps(block, std::span(&all, 1));
    block.backend.add(from, result, out.sub(begin * width, count * width));
    if (!block.backend.finish()) return false;
    work.rows_done += count;
  }
  work.rows_done = 0;
  return true;
}

}  // namespace

bool feed_forward(const Block& block, Executor& executor, const Layer& layer, ExpertWork& work,
                  Slice x, Slice out, const std::atomic<bool>* interrupt, Taps* taps) {
  if (layer.is_dense()) return dense_half(block, executor, layer, work, x, out, interrupt);
  Backend& backend = block.backend;
  backend.begin(interrupt);
  if (!work.routed && !begin_experts(block, layer, work, x, taps)) return false;

  Places places;
  const std::vector<ExpertId> wanted = wanted_experts(work, places);
  const bool many = static_cast<std::size_t>(block.rows) >= prefill_rows;
  bool complete = false;
  // What is missing is read from now on, while what is there is computed.
  executor.experts->lend(
      layer.id, wanted, many ? Pass::prefill : Pass::decode, interrupt, [&](Leases& leases) {
        complete = compute_shared_expert(block, layer, work, interrupt) &&
                   compute_leased_experts(block, executor, work, places, leases, interrupt);
      });
  const auto is_done = [&](ExpertId expert) {
    return work.done[static_cast<std::size_t>(expert.value)];
  };
  if (!complete || !std::ranges::all_of(wanted, is_done)) return false;

  const SharedExpert shared = shared_expert_of(block, work);
  backend.begin(interrupt);
  backend.combine_experts(kernels::slice(work.outputs), work.routing.weights, shared.out,
                          shared.gate, x, out, block.rows, block.config.num_experts_per_tok,
                          static_cast<int>(block.config.hidden_size));
  if (!backend.finish()) return false;
  work.routed = false;
  return true;
}

}  // namespace hearth::engine
