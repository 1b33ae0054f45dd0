// The mixers of both families: gated full attention and Gated DeltaNet; a line is a step of the
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
  const std::size_t count = static_cast<std::size_t>(block.rows) * static_cast<std::size_t>(half);
  std::vector<float> values(2 * count);
  std::size_t at = 0;
  for (int row = 0; row < block.rows; ++row) {
    const auto position = static_cast<float>(block.position + row);
    for (int i = 0; i < half; ++i, ++at) {
      const double exponent = 2.0 * i / block.config.rotary_dim;
      const auto frequency = static_cast<float>(1.0 / std::pow(block.config.rope_theta, exponent));
      const double angle = position * frequency;  // rounded to F32 before it widens
      values[at] = static_cast<float>(std::cos(angle));
      values[count + at] = static_cast<float>(std::sin(angle));
    }
  }
  const Slice both = block.take(std::int64_t{2} * half);  // a device gets them in one copy
  block.backend.write(both, values);
  return {both.sub(0, count), both.sub(count, count)};
}

struct DeltaInputs {
  Slice qkv;  // [T][channels]
  Slice z;    // [T][values]
  Slice b;    // [T][value_heads]
  Slice a;    // [T][value_heads]
};

// The products of x [T][H], put in the order that the convolution wants, where they are not in it.
DeltaInputs delta_inputs(const Block& block, std::span<const DeltaProjection> projections,
                         std::int64_t channels, std::int64_t values, Slice x) {
  const std::int64_t heads = block.config.linear_num_value_heads;
  struct Input {
    Slice rows;
    std::int64_t width;
  };
  const auto input = [&](std::int64_t width) { return Input{block.take(width), width}; };
  const std::array inputs{input(channels), input(values), input(heads), input(heads)};
  const auto of = [&](const DeltaProjection::Part& part) -> const Input& {
    return inputs[static_cast<std::size_t>(part.input)];
  };

  std::vector<kernels::MatMul> products;
  for (const DeltaProjection& each : projections) {
    const bool in_order = each.parts.size() == 1;
    products.push_back({each.weight, x,
                        in_order ? of(each.parts.front()).rows : block.take(each.weight.rows()),
                        block.rows});
  }
  block.backend.matmul(products, block.form);
  for (std::size_t i = 0; i < projections.size(); ++i) {
    const DeltaProjection& each = projections[i];
    if (each.parts.size() == 1) continue;
    std::vector<SplitSpec> split;
    for (const DeltaProjection::Part& part : each.parts)
      split.push_back({of(part).rows, part.width, of(part).width, part.offset});
    block.backend.split_groups(products[i].y, block.rows, each.groups, split);
  }
  return {inputs[0].rows, inputs[1].rows, inputs[2].rows, inputs[3].rows};
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
  const std::int64_t keys = std::int64_t{key_heads} * key_dim;
  const std::int64_t values = std::int64_t{value_heads} * value_dim;
  const std::int64_t channels = 2 * keys + values;

  const auto [qkv, z, b, a] = delta_inputs(block, weights.in_proj, channels, values, x);
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
