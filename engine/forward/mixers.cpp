// The mixers of Qwen3-Next: gated full attention and Gated DeltaNet; a line is a step of the
// architecture.
#include <array>
#include <cmath>
#include <vector>

#include "engine/forward/parts.hpp"

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::KvCache;
using kernels::Rows;
using kernels::Slice;
using kernels::SplitSpec;

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

}  // namespace

Slice full_attention(const Block& block, const FullAttention& weights, KvCache& kv, Slice x) {
  const ModelConfig& config = block.config;
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
                       std::array{SplitSpec{q, dim, stride, 0}, SplitSpec{gate, dim, stride, 0}});

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

Slice linear_attention(const Block& block, const LinearAttention& weights,
                       std::span<const RowSpan> spans, kernels::DeltaForm form, Slice x) {
  const ModelConfig& config = block.config;
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
      std::array{SplitSpec{qkv, key_dim, channels, 0}, SplitSpec{qkv, key_dim, channels, keys},
                 SplitSpec{qkv, group_values, channels, 2 * keys},
                 SplitSpec{z, group_values, values, 0}});

  const Slice b = block.take(value_heads);
  const Slice a = block.take(value_heads);
  backend.split_groups(
      ba, rows, key_heads,
      std::array{SplitSpec{b, ratio, value_heads, 0}, SplitSpec{a, ratio, value_heads, 0}});
  const Slice beta = block.take(value_heads);
  const Slice g = block.take(value_heads);
  backend.delta_gates(b, a, weights.a_log, weights.dt_bias, beta, g, rows, value_heads);

  const Slice mixed = block.take(channels);
  const Slice out = block.take(values);
  const auto window = [](Slice data, std::size_t first_row, std::size_t count, std::int64_t width) {
    return data.sub(first_row * static_cast<std::size_t>(width),
                    count * static_cast<std::size_t>(width));
  };
  for (const RowSpan& span : spans) {
    const std::size_t count = span.end - span.begin;
    const Slice rows_mixed = window(mixed, span.begin, count, channels);
    backend.conv_silu(window(qkv, span.begin, count, channels), weights.conv1d,
                      kernels::slice(*span.conv_in), kernels::slice(*span.conv_out), rows_mixed,
                      static_cast<int>(count), static_cast<int>(channels),
                      config.linear_conv_kernel_dim);

    kernels::DeltaRule delta;
    delta.rows = static_cast<int>(count);
    delta.key_heads = key_heads;
    delta.value_heads = value_heads;
    delta.key_dim = key_dim;
    delta.value_dim = value_dim;
    delta.first_position = block.position + static_cast<std::int64_t>(span.begin);
    delta.q = Rows{rows_mixed, channels};
    delta.k = Rows{from(rows_mixed, keys), channels};
    delta.v = Rows{from(rows_mixed, 2 * keys), channels};
    delta.g = window(g, span.begin, count, value_heads);
    delta.beta = window(beta, span.begin, count, value_heads);
    delta.state_in = kernels::slice(*span.delta_in);
    delta.state_out = kernels::slice(*span.delta_out);
    delta.out = window(out, span.begin, count, values);
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

}  // namespace hearth::engine
