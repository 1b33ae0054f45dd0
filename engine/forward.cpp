// The forward pass of Qwen3-Next, one function per block; a line is a step of the architecture.
#include "engine/forward.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::KvCache;
using kernels::Part;
using kernels::Rows;
using kernels::Slice;

// What every block needs beside its weights. T stands for rows, H for the hidden size.
struct Block {
  const Config& config;
  Backend& backend;
  Workspace& space;
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
};

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
  backend.matmul(weights.q_proj, x, query_and_gate, rows);
  const std::int64_t stride = std::int64_t{heads} * dim;
  backend.split_groups(query_and_gate, rows, heads,
                       std::array{Part{q, dim, stride, 0}, Part{gate, dim, stride, 0}});
  backend.matmul(weights.k_proj, x, k, rows);
  backend.matmul(weights.v_proj, x, v, rows);

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
  backend.matmul(weights.o_proj, mixed, out, rows);
  return out;
}

// The recurrent state before and after rows [begin, end) of a chunk, of one layer.
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
  backend.matmul(weights.in_proj_qkvz, x, qkvz, rows);
  const std::int64_t group_values = std::int64_t{ratio} * value_dim;
  backend.split_groups(
      qkvz, rows, key_heads,
      std::array{Part{qkv, key_dim, channels, 0}, Part{qkv, key_dim, channels, keys},
                 Part{qkv, group_values, channels, 2 * keys}, Part{z, group_values, values, 0}});

  const Slice ba = block.take(std::int64_t{2} * value_heads);
  const Slice b = block.take(value_heads);
  const Slice a = block.take(value_heads);
  backend.matmul(weights.in_proj_ba, x, ba, rows);
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
  backend.matmul(weights.out_proj, out, result, rows);
  return result;
}

// down(silu(gate(x)) · up(x)) over `rows` rows.
Slice gated_mlp(const Block& block, const ExpertWeights& weights, Slice x, int rows) {
  const auto count = static_cast<std::size_t>(rows);
  const auto width = static_cast<std::size_t>(weights.gate.rows());
  const Slice gate = block.space.take(count * width);
  const Slice up = block.space.take(count * width);
  const Slice out = block.space.take(count * block.hidden());
  block.backend.matmul(weights.gate, x, gate, rows);
  block.backend.matmul(weights.up, x, up, rows);
  block.backend.silu_mul(gate, up, gate);
  block.backend.matmul(weights.down, gate, out, rows);
  return out;
}

struct Routing {
  std::vector<std::int32_t> experts;  // [T][k] by falling weight
  std::vector<float> weights;         // [T][k]
};

Routing route(const Block& block, const kernels::Matrix& router, Slice x) {
  const Config& config = block.config;
  const Slice scores = block.take(config.num_experts);
  block.backend.matmul(router, x, scores, block.rows);
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

// x: the layer's input, which is added to the result; normed: what the experts see.
void mixture_of_experts(const Block& block, LayerId layer, const MixtureOfExperts& weights,
                        Cache& cache, Slice x, Slice normed, Slice out, Taps* taps) {
  const Config& config = block.config;
  Backend& backend = block.backend;
  const auto k = static_cast<std::size_t>(config.num_experts_per_tok);
  const int hidden = static_cast<int>(config.hidden_size);
  const auto experts = static_cast<std::size_t>(config.num_experts);

  const Routing routing = route(block, weights.gate, normed);
  if (taps != nullptr) taps->router.push_back(routing.experts);

  // slots[e]: where expert e's outputs go in [T][k], in order of rows.
  std::vector<std::vector<std::int32_t>> slots(experts);
  std::vector<ExpertId> wanted;
  for (std::size_t i = 0; i < routing.experts.size(); ++i) {
    const std::int32_t expert = routing.experts[i];
    // After an interruption the router's picks are undefined, and so is everything behind them.
    if (expert < 0 || static_cast<std::size_t>(expert) >= experts) return;
    std::vector<std::int32_t>& places = slots[static_cast<std::size_t>(expert)];
    if (places.empty()) wanted.push_back(ExpertId{expert});
    places.push_back(static_cast<std::int32_t>(i));
  }

  const Slice shared_gate = block.take(1);
  backend.matmul(weights.shared_expert_gate, normed, shared_gate, block.rows);
  const Slice shared = gated_mlp(block, weights.shared_expert, normed, block.rows);

  const Slice outputs = block.take(static_cast<std::int64_t>(k) * config.hidden_size);
  const std::unique_ptr<Leases> leases = cache.acquire(layer, wanted);
  while (const std::optional<Lease> lease = leases->next()) {
    const std::vector<std::int32_t>& places =
        slots[static_cast<std::size_t>(lease->expert().value)];
    std::vector<std::int32_t> rows;
    for (const std::int32_t place : places) rows.push_back(place / static_cast<std::int32_t>(k));
    const Slice gathered = block.space.take(rows.size() * block.hidden());
    backend.gather_rows(normed, hidden, rows, gathered);
    const Slice result =
        gated_mlp(block, lease->weights(), gathered, static_cast<int>(rows.size()));
    backend.scatter_rows(result, hidden, places, outputs);
  }
  backend.combine_experts(outputs, routing.weights, shared, shared_gate, x, out, block.rows,
                          static_cast<int>(k), hidden);
}

// Index of a layer among those of its kind.
std::size_t index_among(const Config& config, LayerId layer) {
  const auto index = static_cast<std::size_t>(layer.value);
  return static_cast<std::size_t>(
      std::count(config.layers.begin(), config.layers.begin() + static_cast<std::ptrdiff_t>(index),
                 config.layers[index]));
}

// out = x + mixer(norm(x)), the mixer being the layer's attention.
void mixer_half(const Block& block, const Layer& layer, State& state, Chunk& chunk, Slice x,
                Slice out) {
  const std::size_t index = index_among(block.config, layer.id);
  const Slice normed = block.norm(x, layer.input_layernorm);
  if (layer.kind == LayerKind::full_attention) {
    const Slice mixed = full_attention(block, layer.full, state.kv[index], normed);
    block.backend.add(x, mixed, out);
    return;
  }
  std::vector<Stretch> stretches;
  const RecurrentState* before = &state.recurrent;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < chunk.cuts.size(); ++i) {
    const RecurrentState& after = chunk.states[i];
    stretches.push_back({begin, chunk.cuts[i], &before->delta[index], &before->conv[index],
                         &after.delta[index], &after.conv[index]});
    before = &after;
    begin = chunk.cuts[i];
  }
  const Slice mixed = linear_attention(block, layer.linear, stretches, chunk.form, normed);
  block.backend.add(x, mixed, out);
}

// out = x + experts(norm(x)).
void moe_half(const Block& block, const Model& model, const Layer& layer, Slice x, Slice out,
              Taps* taps) {
  const Slice normed = block.norm(x, layer.post_attention_layernorm);
  mixture_of_experts(block, layer.id, layer.moe, *model.experts, x, normed, out, taps);
}

std::vector<float> read(Backend& backend, Slice values) {
  std::vector<float> host(values.size());
  backend.read(values, host);
  return host;
}

// Final norm, the states' hidden rows, logits where wanted. False: interrupted.
bool head(const Block& block, const Model& model, State& state, Chunk& chunk, Slice x,
          const std::atomic<bool>* interrupt) {
  Backend& backend = block.backend;
  const std::size_t hidden = block.hidden();
  const Slice normed = block.norm(x, model.norm);
  std::size_t logit_rows = chunk.wants_logits ? 1 : 0;
  if (chunk.taps != nullptr) logit_rows = chunk.rows();
  Slice scores;
  if (logit_rows > 0) {
    scores = block.space.take(logit_rows * static_cast<std::size_t>(block.config.vocab_size));
    const Slice last = normed.sub((chunk.rows() - logit_rows) * hidden, logit_rows * hidden);
    backend.matmul(model.lm_head, last, scores, static_cast<int>(logit_rows));
  }
  if (!backend.finish()) return false;
  const std::vector<float> rows = read(backend, normed);
  std::vector<float> logits = read(backend, scores);

  // The MTP head's KV follows one position behind: row p needs the token at p+1.
  const bool first = state.hidden.empty();
  const std::span<const TokenId> next = std::span(chunk.tokens).subspan(first ? 1 : 0);
  if (model.mtp && !next.empty()) {
    std::vector<float> before = state.hidden;
    before.insert(before.end(), rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(hidden));
    backend.begin(interrupt);
    run_mtp(model, block.config, state.kv.back(), before, next, chunk.position - (first ? 0 : 1),
            0);
    if (!backend.finish()) return false;
  }

  for (const std::size_t cut : chunk.cuts) {
    const auto row = rows.begin() + static_cast<std::ptrdiff_t>((cut - 1) * hidden);
    chunk.cut_hidden.emplace_back(row, row + static_cast<std::ptrdiff_t>(hidden));
  }
  if (logit_rows > 0) {
    chunk.logits.assign(logits.end() - static_cast<std::ptrdiff_t>(block.config.vocab_size),
                        logits.end());
  }
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
  while (chunk.states.size() + 1 < chunk.cuts.size()) {
    chunk.states.push_back(make_recurrent_state(*model.backend, config));
  }
  const bool has_spare = !state.spare.delta.empty();
  chunk.states.push_back(has_spare ? std::exchange(state.spare, {})
                                   : make_recurrent_state(*model.backend, config));
  const std::size_t bytes =
      chunk.rows() * static_cast<std::size_t>(config.hidden_size) * sizeof(float);
  chunk.hidden = model.backend->allocate(bytes);
  chunk.output = model.backend->allocate(bytes);
  return chunk;
}

int stage_count(const Config& config) {
  return 2 * config.num_layers() + 2;
}

bool run_stage(const Model& model, const Config& config, State& state, Chunk& chunk,
               const std::atomic<bool>* interrupt) {
  Backend& backend = *model.backend;
  model.workspace->reset();
  const Block block{config, backend, *model.workspace, static_cast<int>(chunk.rows()),
                    chunk.position};
  const Slice x = kernels::slice(chunk.hidden);
  const Slice out = kernels::slice(chunk.output);
  const int last = stage_count(config) - 1;

  backend.begin(interrupt);
  bool complete = false;
  if (chunk.stage == last) {
    complete = head(block, model, state, chunk, x, interrupt);
  } else if (chunk.stage == 0) {
    backend.embed(model.embed_tokens, chunk.tokens, out);
    complete = backend.finish();
  } else {
    const Layer& layer = model.layers[static_cast<std::size_t>((chunk.stage - 1) / 2)];
    if (chunk.stage % 2 == 1) {
      mixer_half(block, layer, state, chunk, x, out);
    } else {
      moe_half(block, model, layer, x, out, chunk.taps);
    }
    complete = backend.finish();
  }
  if (!complete) return false;

  const bool layer_output = chunk.stage % 2 == 0 && chunk.stage != last && chunk.stage != last - 1;
  if (chunk.taps != nullptr && layer_output) chunk.taps->hidden.push_back(read(backend, out));
  if (chunk.stage != last) std::swap(chunk.hidden, chunk.output);
  ++chunk.stage;
  return true;
}

MtpResult run_mtp(const Model& model, const Config& config, KvCache& kv,
                  std::span<const float> hidden, std::span<const TokenId> next,
                  std::int64_t position, std::size_t logit_rows) {
  const MtpHead& mtp = *model.mtp;
  Backend& backend = *model.backend;
  model.workspace->reset();
  const Block block{config, backend, *model.workspace, static_cast<int>(next.size()), position};
  const std::size_t width = block.hidden();

  const Slice tokens = block.take(config.hidden_size);
  const Slice states = block.take(config.hidden_size);
  backend.embed(model.embed_tokens, next, tokens);
  backend.write(states, hidden);
  const Slice joined = block.take(2 * config.hidden_size);
  const std::int64_t stride = 2 * config.hidden_size;
  backend.split_groups(block.norm(tokens, mtp.pre_fc_norm_embedding), block.rows, 1,
                       std::array{Part{joined, config.hidden_size, stride, 0}});
  backend.split_groups(block.norm(states, mtp.pre_fc_norm_hidden), block.rows, 1,
                       std::array{Part{joined, config.hidden_size, stride, config.hidden_size}});
  const Slice x = block.take(config.hidden_size);
  backend.matmul(mtp.fc, joined, x, block.rows);

  const Slice attended = block.take(config.hidden_size);
  const Slice mixed =
      full_attention(block, mtp.layer.full, kv, block.norm(x, mtp.layer.input_layernorm));
  backend.add(x, mixed, attended);
  const Slice out = block.take(config.hidden_size);
  moe_half(block, model, mtp.layer, attended, out, nullptr);
  const Slice normed = block.norm(out, mtp.norm);

  MtpResult result;
  result.normed = read(backend, normed);
  if (logit_rows > 0) {
    const Slice logits = block.space.take(logit_rows * static_cast<std::size_t>(config.vocab_size));
    backend.matmul(model.lm_head,
                   normed.sub((next.size() - logit_rows) * width, logit_rows * width), logits,
                   static_cast<int>(logit_rows));
    result.logits = read(backend, logits);
  }
  return result;
}

}  // namespace hearth::engine
