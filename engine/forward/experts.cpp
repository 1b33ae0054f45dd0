// The mixture of experts: routing, the experts as they become ready, and their sum.
#include <algorithm>
#include <memory>
#include <utility>
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
// Fewer rows than this want experts as decoding does: they say which ones come next.
constexpr std::size_t prefill_rows = 64;

}  // namespace

Routing route(const Block& block, const kernels::Matrix& router, Slice x) {
  const Config& config = block.config;
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

// The experts, as they become ready. False: interrupted.
bool compute_leased_experts(const Block& block, const Model& model, ExpertWork& work,
                            const Places& places, Leases& leases,
                            const std::atomic<bool>* interrupt) {
  for (;;) {
    const std::vector<Lease> ready = leases.next();
    if (ready.empty()) return true;
    for (std::span<const Lease> rest = ready; !rest.empty();) {
      const std::span<const Lease> group = rest.first(group_size(rest, places));
      rest = rest.subspan(group.size());
      model.workspace->reset();
      block.backend.begin(interrupt);
      compute_experts(block, work, group, places);
      if (!block.backend.finish()) return false;
      for (const Lease& lease : group)
        work.done[static_cast<std::size_t>(lease.expert.value)] = true;
      leases.release(group);
    }
  }
}

}  // namespace

bool moe_half(const Block& block, const Model& model, const Layer& layer, ExpertWork& work, Slice x,
              Slice out, const std::atomic<bool>* interrupt, Taps* taps) {
  Backend& backend = block.backend;
  backend.begin(interrupt);
  if (!work.routed && !begin_experts(block, layer, work, x, taps)) return false;

  Places places;
  const std::vector<ExpertId> wanted = wanted_experts(work, places);
  const bool many = static_cast<std::size_t>(block.rows) >= prefill_rows;
  bool complete = false;
  // What is missing is read from now on, while what is there is computed.
  model.experts->lend(
      layer.id, wanted, many ? Pass::prefill : Pass::decode, interrupt, [&](Leases& leases) {
        complete = compute_shared_expert(block, layer, work, interrupt) &&
                   compute_leased_experts(block, model, work, places, leases, interrupt);
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
