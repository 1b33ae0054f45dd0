// The forward pass of Qwen3-Next, one function per block; a line is a step of the architecture.
#include "engine/forward.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::KvCache;
using kernels::MatMul;
using kernels::Part;
using kernels::ProductForm;
using kernels::Rows;
using kernels::Slice;

// Rows that a layer's mixer takes at once: bounds its scratch and what an interruption loses. A
// multiple of the delta rule's chunk.
constexpr std::size_t mixer_rows = 256;
// Rows, counted once per expert, that a group of experts takes at once; the same bounds.
constexpr std::size_t expert_rows = 1024;
// Fewer rows than this want experts as decoding does: they say which ones come next.
constexpr std::size_t prefill_rows = 64;

// What every block needs beside its weights. T stands for rows, H for the hidden size.
struct Block {
  const Config& config;
  Backend& backend;
  Workspace& space;
  ProductForm form;
  int rows;
  std::int64_t position;  // of the first row

  std::size_t hidden() const { return static_cast<std::size_t>(config.hidden_size); }
  Slice take(std::int64_t width) const {  // [T][width]
    return space.take(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width));
  }
  Slice norm(Slice x, Slice weight) const {  // [T][H], zero-centred
    const Slice out = take(config.hidden_size);
    const Rows from{x, config.hidden_size};
    backend.rms_norm(from, weight, Rows{out, config.hidden_size}, rows,
                     static_cast<int>(config.hidden_size), config.rms_norm_eps);
    return out;
  }
  void matmul(std::initializer_list<MatMul> products) const {
    backend.matmul(std::span(products.begin(), products.size()), form);
  }
};

ProductForm product_form(kernels::DeltaForm form) {
  return form == kernels::DeltaForm::step ? ProductForm::canonical : ProductForm::blocked;
}

// A window that begins `offset` values into `values`.
Slice from(Slice values, std::int64_t offset) {
  const auto begin = static_cast<std::size_t>(offset);
  return values.sub(begin, values.size() - begin);
}

struct RopeTables {
  Slice cos;  // [T][rotary_dim/2]
  Slice sin;
};

// Angles in F32, as the reference has them: position · theta^(-2i/rotary_dim).
RopeTables rope_tables(const Block& block) {
  const int half = block.config.rotary_dim / 2;
  std::vector<float> cosines;
  std::vector<float> sines;
  for (int row = 0; row < block.rows; ++row) {
    const auto position = static_cast<float>(block.position + row);
    for (int i = 0; i < half; ++i) {
      const double exponent = 2.0 * i / block.config.rotary_dim;
      const auto frequency = static_cast<float>(1.0 / std::pow(block.config.rope_theta, exponent));
      const double angle = position * frequency;  // rounded to F32 before it widens
      cosines.push_back(static_cast<float>(std::cos(angle)));
      sines.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  const RopeTables tables{block.take(half), block.take(half)};
  block.backend.write(tables.cos, cosines);
  block.backend.write(tables.sin, sines);
  return tables;
}

// [T][H] → [T][H]: queries with an output gate, q and k normed per head, RoPE on part of a head.
Slice full_attention(const Block& block, const FullAttention& weights, KvCache& kv, Slice x) {
  const Config& config = block.config;
  Backend& backend = block.backend;
  const int heads = config.num_attention_heads;
  const int kv_heads = config.num_key_value_heads;
  const int dim = config.head_dim;
  const int rows = block.rows;

  const Slice query_and_gate = block.take(std::int64_t{2} * heads * dim);
  const Slice q = block.take(std::int64_t{heads} * dim);
  const Slice gate = block.take(std::int64_t{heads} * dim);
  const Slice k = block.take(std::int64_t{kv_heads} * dim);
  const Slice v = block.take(std::int64_t{kv_heads} * dim);
  block.matmul({{weights.q_proj, x, query_and_gate, rows},
                {weights.k_proj, x, k, rows},
                {weights.v_proj, x, v, rows}});
  const std::int64_t stride = std::int64_t{heads} * dim;
  backend.split_groups(query_and_gate, rows, heads,
                       std::array{Part{q, dim, stride, 0}, Part{gate, dim, stride, 0}});

  backend.rms_norm(Rows{q, dim}, weights.q_norm, Rows{q, dim}, rows * heads, dim,
                   config.rms_norm_eps);
  backend.rms_norm(Rows{k, dim}, weights.k_norm, Rows{k, dim}, rows * kv_heads, dim,
                   config.rms_norm_eps);
  const RopeTables tables = rope_tables(block);
  backend.rope(q, tables.cos, tables.sin, rows, heads, dim, config.rotary_dim / 2);
  backend.rope(k, tables.cos, tables.sin, rows, kv_heads, dim, config.rotary_dim / 2);
  backend.kv_append(kv, k, v, block.position, rows);

  const Slice mixed = block.take(std::int64_t{heads} * dim);
  kernels::Attention attention;
  attention.rows = rows;
  attention.heads = heads;
  attention.first_position = block.position;
  attention.scale = 1.0F / std::sqrt(static_cast<float>(dim));
  attention.q = q;
  attention.out = mixed;
  backend.attention(attention, kv);
  backend.sigmoid_mul(gate, mixed, mixed);

  const Slice out = block.take(config.hidden_size);
  block.matmul({{weights.o_proj, mixed, out, rows}});
  return out;
}

// The recurrent state before and after rows [begin, end) of a block, of one layer.
struct Stretch {
  std::size_t begin = 0;
  std::size_t end = 0;
  const kernels::Buffer* delta_in = nullptr;
  const kernels::Buffer* conv_in = nullptr;
  const kernels::Buffer* delta_out = nullptr;
  const kernels::Buffer* conv_out = nullptr;
};

// [T][H] → [T][H]: Gated DeltaNet.
Slice linear_attention(const Block& block, const LinearAttention& weights,
                       std::span<const Stretch> stretches, kernels::DeltaForm form, Slice x) {
  const Config& config = block.config;
  Backend& backend = block.backend;
  const int rows = block.rows;
  const int key_heads = config.linear_num_key_heads;
  const int value_heads = config.linear_num_value_heads;
  const int key_dim = config.linear_key_head_dim;
  const int value_dim = config.linear_value_head_dim;
  const int ratio = value_heads / key_heads;
  const std::int64_t keys = std::int64_t{key_heads} * key_dim;
  const std::int64_t values = std::int64_t{value_heads} * value_dim;
  const std::int64_t channels = 2 * keys + values;

  // Per key head: q, k, v, z. The convolution wants all q, then all k, then all v.
  const Slice qkvz = block.take(channels + values);
  const Slice qkv = block.take(channels);
  const Slice z = block.take(values);
  const Slice ba = block.take(std::int64_t{2} * value_heads);
  block.matmul({{weights.in_proj_qkvz, x, qkvz, rows}, {weights.in_proj_ba, x, ba, rows}});
  const std::int64_t group_values = std::int64_t{ratio} * value_dim;
  backend.split_groups(
      qkvz, rows, key_heads,
      std::array{Part{qkv, key_dim, channels, 0}, Part{qkv, key_dim, channels, keys},
                 Part{qkv, group_values, channels, 2 * keys}, Part{z, group_values, values, 0}});

  const Slice b = block.take(value_heads);
  const Slice a = block.take(value_heads);
  backend.split_groups(ba, rows, key_heads,
                       std::array{Part{b, ratio, value_heads, 0}, Part{a, ratio, value_heads, 0}});
  const Slice beta = block.take(value_heads);
  const Slice g = block.take(value_heads);
  backend.delta_gates(b, a, weights.a_log, weights.dt_bias, beta, g, rows, value_heads);

  const Slice mixed = block.take(channels);
  const Slice out = block.take(values);
  const auto window = [](Slice data, std::size_t first_row, std::size_t count, std::int64_t width) {
    return data.sub(first_row * static_cast<std::size_t>(width),
                    count * static_cast<std::size_t>(width));
  };
  for (const Stretch& stretch : stretches) {
    const std::size_t count = stretch.end - stretch.begin;
    const Slice rows_mixed = window(mixed, stretch.begin, count, channels);
    backend.conv_silu(window(qkv, stretch.begin, count, channels), weights.conv1d,
                      kernels::slice(*stretch.conv_in), kernels::slice(*stretch.conv_out),
                      rows_mixed, static_cast<int>(count), static_cast<int>(channels),
                      config.linear_conv_kernel_dim);

    kernels::DeltaRule delta;
    delta.rows = static_cast<int>(count);
    delta.key_heads = key_heads;
    delta.value_heads = value_heads;
    delta.key_dim = key_dim;
    delta.value_dim = value_dim;
    delta.first_position = block.position + static_cast<std::int64_t>(stretch.begin);
    delta.q = Rows{rows_mixed, channels};
    delta.k = Rows{from(rows_mixed, keys), channels};
    delta.v = Rows{from(rows_mixed, 2 * keys), channels};
    delta.g = window(g, stretch.begin, count, value_heads);
    delta.beta = window(beta, stretch.begin, count, value_heads);
    delta.state_in = kernels::slice(*stretch.delta_in);
    delta.state_out = kernels::slice(*stretch.delta_out);
    delta.out = window(out, stretch.begin, count, values);
    const float scale = 1.0F / std::sqrt(static_cast<float>(key_dim));
    backend.l2_norm(delta.q, delta.rows, key_heads, key_dim, scale);
    backend.l2_norm(delta.k, delta.rows, key_heads, key_dim, 1.0F);
    backend.delta_rule(delta, form);
  }

  backend.gated_rms_norm(out, z, weights.norm, out, rows * value_heads, value_dim,
                         config.rms_norm_eps);
  const Slice result = block.take(config.hidden_size);
  block.matmul({{weights.out_proj, out, result, rows}});
  return result;
}

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

// The rows of one expert: `places` are theirs in [T][k].
struct Group {
  Lease lease;
  std::vector<std::int32_t> places;
};

// The groups' outputs, to work.outputs.
void compute_experts(const Block& block, ExpertWork& work, std::span<const Group> groups) {
  Backend& backend = block.backend;
  const auto k = block.config.num_experts_per_tok;
  const int hidden = static_cast<int>(block.config.hidden_size);
  const std::size_t width = block.hidden();
  const Slice normed = kernels::slice(work.normed);
  const Slice outputs = kernels::slice(work.outputs);

  std::vector<ExpertRows> all;
  for (const Group& group : groups) {
    ExpertRows some{&group.lease.weights(), {}, {}, static_cast<int>(group.places.size())};
    if (some.rows == 1) {  // stays where it is
      const auto place = static_cast<std::size_t>(group.places.front());
      some.x = normed.sub(place / static_cast<std::size_t>(k) * width, width);
      some.out = outputs.sub(place * width, width);
    } else {
      std::vector<std::int32_t> rows;
      for (const std::int32_t place : group.places) rows.push_back(place / k);
      some.x = block.space.take(rows.size() * width);
      some.out = block.space.take(rows.size() * width);
      backend.gather_rows(normed, hidden, rows, some.x);
    }
    all.push_back(some);
  }
  gated_mlps(block, all);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (all[i].rows > 1) backend.scatter_rows(all[i].out, hidden, groups[i].places, outputs);
  }
}

// Normed rows, their routing; the work's buffers. False: interrupted.
bool begin_experts(const Block& block, const Layer& layer, ExpertWork& work, Slice x, Taps* taps) {
  const auto rows = static_cast<std::size_t>(block.rows);
  const std::size_t row_bytes = block.hidden() * sizeof(float);
  if (!work.normed) {
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

// out = x + experts(norm(x)). Goes on with `work` where it was interrupted; false: interrupted.
bool moe_half(const Block& block, const Model& model, const Layer& layer, ExpertWork& work, Slice x,
              Slice out, const std::atomic<bool>* interrupt, Taps* taps) {
  Backend& backend = block.backend;
  const auto k = static_cast<std::size_t>(block.config.num_experts_per_tok);
  backend.begin(interrupt);
  if (!work.routed && !begin_experts(block, layer, work, x, taps)) return false;

  // places[e]: where expert e's outputs go in [T][k], in order of rows.
  std::vector<std::vector<std::int32_t>> places(work.done.size());
  std::vector<ExpertId> wanted;
  for (std::size_t i = 0; i < work.routing.experts.size(); ++i) {
    const auto expert = static_cast<std::size_t>(work.routing.experts[i]);
    if (work.done[expert]) continue;
    if (places[expert].empty()) wanted.push_back(ExpertId{work.routing.experts[i]});
    places[expert].push_back(static_cast<std::int32_t>(i));
  }
  const bool many = static_cast<std::size_t>(block.rows) >= prefill_rows;
  // What is missing is read from now on, while what is there is computed.
  const std::unique_ptr<Leases> leases =
      model.experts->acquire(layer.id, wanted, many ? Pass::prefill : Pass::decode);

  const auto rows = static_cast<std::size_t>(block.rows);
  const Slice shared = kernels::slice(work.shared, 0, rows * block.hidden());
  const Slice shared_gate =
      kernels::slice(work.shared, rows * block.hidden() * sizeof(float), rows);
  if (!work.shared_done) {
    const Slice normed = kernels::slice(work.normed);
    backend.begin(interrupt);
    block.matmul({{layer.moe.shared_expert_gate, normed, shared_gate, block.rows}});
    const ExpertRows all{&layer.moe.shared_expert, normed, shared, block.rows};
    gated_mlps(block, std::span(&all, 1));
    if (!backend.finish()) return false;
    work.shared_done = true;
  }

  for (;;) {
    std::vector<Lease> ready = leases->next(interrupt);
    if (ready.empty()) break;
    for (std::size_t next = 0; next < ready.size();) {
      std::vector<Group> groups;
      for (std::size_t count = 0; next < ready.size() && (count < expert_rows); ++next) {
        const auto expert = static_cast<std::size_t>(ready[next].expert().value);
        count += places[expert].size();
        groups.push_back({std::move(ready[next]), places[expert]});
      }
      model.workspace->reset();
      backend.begin(interrupt);
      compute_experts(block, work, groups);
      if (!backend.finish()) return false;
      for (const Group& group : groups) {
        work.done[static_cast<std::size_t>(group.lease.expert().value)] = true;
      }
    }
  }
  const auto is_done = [&](ExpertId expert) {
    return work.done[static_cast<std::size_t>(expert.value)];
  };
  if (!std::ranges::all_of(wanted, is_done)) return false;

  backend.begin(interrupt);
  backend.combine_experts(kernels::slice(work.outputs), work.routing.weights, shared, shared_gate,
                          x, out, block.rows, static_cast<int>(k),
                          static_cast<int>(block.config.hidden_size));
  if (!backend.finish()) return false;
  work.routed = false;
  return true;
}

// Index of a layer among those of its kind.
std::size_t index_among(const Config& config, LayerId layer) {
  const auto index = static_cast<std::size_t>(layer.value);
  return static_cast<std::size_t>(
      std::count(config.layers.begin(), config.layers.begin() + static_cast<std::ptrdiff_t>(index),
                 config.layers[index]));
}

// Where the next block of a chunk's rows ends: at a multiple of mixer_rows of the sequence.
std::size_t block_end(const Chunk& chunk) {
  const std::size_t first = static_cast<std::size_t>(chunk.position) + chunk.rows_done;
  const std::size_t end = (first / mixer_rows + 1) * mixer_rows;
  return std::min(end - static_cast<std::size_t>(chunk.position), chunk.rows());
}

struct StateBuffers {
  const kernels::Buffer* delta;
  const kernels::Buffer* conv;
};

// The states between the rows [begin, end) of a chunk: in at its begin, out at every cut and at its
// end. Where a block ends between cuts, the two states between take turns.
std::vector<Stretch> stretches_of(Backend& backend, const State& state, Chunk& chunk,
                                  std::size_t index, std::size_t begin, std::size_t end) {
  const auto of_layer = [&](const RecurrentState& some) {
    return StateBuffers{&some.delta[index], &some.conv[index]};
  };
  const auto cut = std::ranges::lower_bound(chunk.cuts, begin);
  const auto at_cut = [&](auto place) {
    return of_layer(chunk.states[static_cast<std::size_t>(place - chunk.cuts.begin())]);
  };
  StateBuffers before = of_layer(state.recurrent);
  if (begin > 0) {
    const RecurrentState& between = chunk.states_between[chunk.between];
    before = *cut == begin ? at_cut(cut) : StateBuffers{&between.delta[0], &between.conv[0]};
  }
  std::vector<Stretch> stretches;
  for (auto place = begin > 0 && *cut == begin ? cut + 1 : cut; begin < end; ++place) {
    StateBuffers after{};
    const std::size_t stop = std::min(*place, end);
    if (*place <= end) {
      after = at_cut(place);
    } else {
      RecurrentState& between = chunk.states_between[1 - chunk.between];
      if (between.delta.empty()) {
        between.delta.push_back(backend.allocate(before.delta->bytes()));
        between.conv.push_back(backend.allocate(before.conv->bytes()));
      }
      after = {&between.delta[0], &between.conv[0]};
    }
    stretches.push_back({begin, stop, before.delta, before.conv, after.delta, after.conv});
    before = after;
    begin = stop;
  }
  return stretches;
}

// out = x + mixer(norm(x)) for the chunk's next block of rows, the mixer being the layer's
// attention. False: interrupted.
bool mixer_half(const Block& whole, const Model& model, const Layer& layer, State& state,
                Chunk& chunk, const std::atomic<bool>* interrupt) {
  const std::size_t begin = chunk.rows_done;
  const std::size_t end = block_end(chunk);
  Block block = whole;
  block.rows = static_cast<int>(end - begin);
  block.position = chunk.position + static_cast<std::int64_t>(begin);
  const std::size_t width = block.hidden();
  const Slice x = kernels::slice(chunk.hidden).sub(begin * width, (end - begin) * width);
  const Slice out = kernels::slice(chunk.output).sub(begin * width, (end - begin) * width);
  const std::size_t index = index_among(block.config, layer.id);

  block.backend.begin(interrupt);
  if (model.prefetch && chunk.form == kernels::DeltaForm::step) {
    // The experts' router, applied before its time, is right about most of them.
    const Routing guess =
        route(block, layer.moe.gate, block.norm(x, layer.post_attention_layernorm));
    if (!block.backend.finish()) return false;
    std::vector<ExpertId> experts;
    for (const std::int32_t expert : guess.experts) experts.push_back(ExpertId{expert});
    model.experts->prefetch(layer.id, experts);
    block.backend.begin(interrupt);
  }
  const Slice normed = block.norm(x, layer.input_layernorm);
  Slice mixed;
  bool between = false;
  if (layer.kind == LayerKind::full_attention) {
    mixed = full_attention(block, layer.full, state.kv[index], normed);
  } else {
    std::vector<Stretch> stretches = stretches_of(block.backend, state, chunk, index, begin, end);
    between = !std::ranges::binary_search(chunk.cuts, end);
    for (Stretch& stretch : stretches) {
      stretch.begin -= begin;
      stretch.end -= begin;
    }
    mixed = linear_attention(block, layer.linear, stretches, chunk.form, normed);
  }
  block.backend.add(x, mixed, out);
  if (!block.backend.finish()) return false;
  if (between) chunk.between = 1 - chunk.between;
  chunk.rows_done = end;
  return true;
}

std::vector<float> read(Backend& backend, Slice values) {
  std::vector<float> host(values.size());
  backend.read(values, host);
  return host;
}

// The logits of normed rows that chunk.top asks for, by screening; minus infinity for the others.
std::vector<float> screened_logits(const Block& block, const Model& model, const Chunk& chunk,
                                   Slice rows, std::size_t count) {
  std::vector<kernels::Candidates> found(count);
  block.backend.screened_top(model.screen, model.lm_head, rows, static_cast<int>(count), chunk.top,
                             chunk.always, found);
  const auto vocab = static_cast<std::size_t>(block.config.vocab_size);
  std::vector<float> logits(count * vocab, -std::numeric_limits<float>::infinity());
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < found[row].ids.size(); ++i) {
      logits[row * vocab + static_cast<std::size_t>(found[row].ids[i])] = found[row].scores[i];
    }
  }
  return logits;
}

// Final norm, the states' hidden rows, logits where wanted. False: interrupted.
bool head(const Block& block, const Model& model, State& state, Chunk& chunk, Slice x,
          const std::atomic<bool>* interrupt) {
  Backend& backend = block.backend;
  const std::size_t hidden = block.hidden();
  const Slice normed = block.norm(x, model.norm);
  const std::size_t logit_rows = chunk.taps != nullptr ? chunk.rows() : chunk.logit_rows;
  const bool screened = model.screen && chunk.top > 0 && chunk.taps == nullptr;
  Slice scores;
  std::vector<float> logits;
  if (logit_rows > 0 && screened) {
    const Slice last = normed.sub((chunk.rows() - logit_rows) * hidden, logit_rows * hidden);
    logits = screened_logits(block, model, chunk, last, logit_rows);
  } else if (logit_rows > 0) {
    scores = block.space.take(logit_rows * static_cast<std::size_t>(block.config.vocab_size));
    const Slice last = normed.sub((chunk.rows() - logit_rows) * hidden, logit_rows * hidden);
    backend.matmul(model.lm_head, last, scores, static_cast<int>(logit_rows),
                   ProductForm::canonical);
  }
  if (!backend.finish()) return false;
  const std::vector<float> rows = read(backend, normed);
  if (!screened) logits = read(backend, scores);

  // The MTP head's KV follows one position behind: row p needs the token at p+1.
  const bool first = state.hidden.empty();
  const std::span<const TokenId> next = std::span(chunk.tokens).subspan(first ? 1 : 0);
  if (model.mtp && !next.empty()) {
    std::vector<float> before = state.hidden;
    before.insert(before.end(), rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(hidden));
    if (!run_mtp(model, block.config, state.kv.back(), before, next,
                 chunk.position - (first ? 0 : 1), 0, block.form, interrupt)) {
      return false;
    }
  }

  for (const std::size_t cut : chunk.cuts) {
    const auto row = rows.begin() + static_cast<std::ptrdiff_t>((cut - 1) * hidden);
    chunk.cut_hidden.emplace_back(row, row + static_cast<std::ptrdiff_t>(hidden));
  }
  const auto wanted = static_cast<std::ptrdiff_t>(chunk.logit_rows) *
                      static_cast<std::ptrdiff_t>(block.config.vocab_size);
  chunk.logits.assign(logits.end() - wanted, logits.end());
  if (chunk.taps != nullptr) {
    chunk.taps->logits = std::move(logits);
    chunk.taps->hidden.push_back(rows);
  }
  return true;
}

}  // namespace

Chunk make_chunk(const Model& model, const Config& config, State& state,
                 std::vector<TokenId> tokens, std::int64_t position, kernels::DeltaForm form,
                 std::vector<std::size_t> cuts) {
  Chunk chunk;
  chunk.tokens = std::move(tokens);
  chunk.position = position;
  chunk.form = form;
  chunk.cuts = std::move(cuts);
  if (chunk.cuts.empty() || chunk.cuts.back() != chunk.rows()) chunk.cuts.push_back(chunk.rows());
  while (chunk.states.size() < chunk.cuts.size()) {
    if (state.spares.empty()) {
      chunk.states.push_back(make_recurrent_state(*model.backend, config));
    } else {
      chunk.states.push_back(std::move(state.spares.back()));
      state.spares.pop_back();
    }
  }
  const std::size_t bytes =
      chunk.rows() * static_cast<std::size_t>(config.hidden_size) * sizeof(float);
  chunk.hidden = model.backend->allocate(bytes);
  chunk.output = model.backend->allocate(bytes);
  return chunk;
}

std::size_t Chunk::bytes() const {
  std::size_t total = hidden.bytes() + output.bytes() + experts.normed.bytes() +
                      experts.shared.bytes() + experts.outputs.bytes();
  for (const RecurrentState& state : states_between) total += state.bytes();
  return total;
}

std::size_t chunk_bytes_per_row(const Config& config) {
  const auto hidden = static_cast<std::size_t>(config.hidden_size);
  const auto k = static_cast<std::size_t>(config.num_experts_per_tok);
  // hidden, output, normed and shared; the experts' outputs; the MTP head's and the cuts' host copy
  return (4 + k + 2) * hidden * sizeof(float);
}

int stage_count(const Config& config) {
  return 2 * config.num_layers() + 2;
}

bool run_stage(const Model& model, const Config& config, State& state, Chunk& chunk,
               const std::atomic<bool>* interrupt) {
  Backend& backend = *model.backend;
  model.workspace->reset();
  const Block block{config,
                    backend,
                    *model.workspace,
                    product_form(chunk.form),
                    static_cast<int>(chunk.rows()),
                    chunk.position};
  const Slice x = kernels::slice(chunk.hidden);
  const Slice out = kernels::slice(chunk.output);
  const int last = stage_count(config) - 1;

  bool complete = false;
  if (chunk.stage == last) {
    backend.begin(interrupt);
    complete = head(block, model, state, chunk, x, interrupt);
  } else if (chunk.stage == 0) {
    backend.begin(interrupt);
    backend.embed(model.embed_tokens, chunk.tokens, out);
    complete = backend.finish();
  } else {
    const Layer& layer = model.layers[static_cast<std::size_t>((chunk.stage - 1) / 2)];
    if (chunk.stage % 2 == 1) {
      complete = mixer_half(block, model, layer, state, chunk, interrupt);
      if (complete && chunk.rows_done < chunk.rows()) return true;
      if (complete) chunk.rows_done = 0;
    } else {
      complete = moe_half(block, model, layer, chunk.experts, x, out, interrupt, chunk.taps);
    }
  }
  if (!complete) return false;

  const bool layer_output = chunk.stage % 2 == 0 && chunk.stage != last && chunk.stage != last - 1;
  if (chunk.taps != nullptr && layer_output) chunk.taps->hidden.push_back(read(backend, out));
  if (chunk.stage != last) std::swap(chunk.hidden, chunk.output);
  ++chunk.stage;
  return true;
}

std::optional<MtpResult> run_mtp(const Model& model, const Config& config, KvCache& kv,
                                 std::span<const float> hidden, std::span<const TokenId> next,
                                 std::int64_t position, std::size_t logit_rows, ProductForm form,
                                 const std::atomic<bool>* interrupt) {
  const MtpHead& mtp = *model.mtp;
  Backend& backend = *model.backend;
  const std::size_t width = static_cast<std::size_t>(config.hidden_size);
  MtpResult result;
  // In blocks of rows, like a layer's mixer, for the scratch's sake.
  for (std::size_t begin = 0; begin < next.size(); begin += mixer_rows) {
    const std::size_t count = std::min(mixer_rows, next.size() - begin);
    model.workspace->reset();
    const Block block{config,
                      backend,
                      *model.workspace,
                      form,
                      static_cast<int>(count),
                      position + static_cast<std::int64_t>(begin)};
    backend.begin(interrupt);
    const Slice tokens = block.take(config.hidden_size);
    const Slice states = block.take(config.hidden_size);
    backend.embed(model.embed_tokens, next.subspan(begin, count), tokens);
    backend.write(states, hidden.subspan(begin * width, count * width));
    const Slice joined = block.take(2 * config.hidden_size);
    const std::int64_t stride = 2 * config.hidden_size;
    backend.split_groups(block.norm(tokens, mtp.pre_fc_norm_embedding), block.rows, 1,
                         std::array{Part{joined, config.hidden_size, stride, 0}});
    backend.split_groups(block.norm(states, mtp.pre_fc_norm_hidden), block.rows, 1,
                         std::array{Part{joined, config.hidden_size, stride, config.hidden_size}});
    const Slice x = block.take(config.hidden_size);
    block.matmul({{mtp.fc, joined, x, block.rows}});
    const Slice mixed =
        full_attention(block, mtp.layer.full, kv, block.norm(x, mtp.layer.input_layernorm));
    // Outlives the workspace, which the experts use block by block.
    const kernels::Buffer attended = backend.allocate(count * width * sizeof(float));
    const kernels::Buffer out = backend.allocate(count * width * sizeof(float));
    backend.add(x, mixed, kernels::slice(attended));
    if (!backend.finish()) return std::nullopt;
    ExpertWork work;
    if (!moe_half(block, model, mtp.layer, work, kernels::slice(attended), kernels::slice(out),
                  interrupt, nullptr)) {
      return std::nullopt;
    }
    backend.begin(interrupt);
    const Slice normed = block.norm(kernels::slice(out), mtp.norm);
    const std::size_t before = next.size() - logit_rows;  // rows without logits
    const std::size_t wanted = begin + count - std::min(begin + count, std::max(begin, before));
    Slice logits;
    if (wanted > 0) {
      logits = block.space.take(wanted * static_cast<std::size_t>(config.vocab_size));
      backend.matmul(model.lm_head, normed.sub((count - wanted) * width, wanted * width), logits,
                     static_cast<int>(wanted), ProductForm::canonical);
    }
    if (!backend.finish()) return std::nullopt;
    const std::vector<float> rows = read(backend, normed);
    result.normed.insert(result.normed.end(), rows.begin(), rows.end());
    const std::vector<float> scores = read(backend, logits);
    result.logits.insert(result.logits.end(), scores.begin(), scores.end());
  }
  return result;
}

}  // namespace hearth::engine
