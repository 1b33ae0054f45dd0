// The start-up check of selfcheck.hpp: small cases with awkward sizes, one per operation. The tests
// cover shapes; this catches a processor, a compiler or an emulator that computes something else.
#include "kernels/cpu/rows/selfcheck.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace hearth::kernels::cpu {
namespace {

using Values = std::vector<float>;

// Values in [-scale, scale), the same at every start.
Values some(std::size_t count, float scale, std::uint32_t seed) {
  Values result(count);
  for (float& value : result) {
    seed = seed * 1664525u + 1013904223u;
    value = (static_cast<float>(seed >> 8) * 0x1p-23f - 1.0f) * scale;
  }
  return result;
}

constexpr int odd = 131;       // a dimension: four times the lanes and a rest
constexpr int shape_rows = 5;  // of products
constexpr int activation_rows = 11;

// Codes of any format that are neither NaN nor infinite.
std::vector<std::byte> codes(std::size_t bytes) {
  std::vector<std::byte> result(bytes);
  std::uint32_t seed = 7;
  for (std::byte& code : result) {
    seed = seed * 1664525u + 1013904223u;
    code = static_cast<std::byte>((seed >> 24) & 0xbbu);
  }
  return result;
}

// Columns of products: what the fast ones do at once, a block beside it and a rest.
constexpr int shape_cols = 3 * odd;

template <int format>
Values product(const Table& table) {
  const auto data = codes(shape_rows * shape_cols * 4);
  const Values x = some(activation_rows * shape_cols, 1, 1);
  const Values scales = {0.5f, 1.25f, 0.7f, 3};
  constexpr auto stride = static_cast<int>(packed_size(shape_cols));
  Values packed(activation_rows * stride);
  for (int r = 0; r < activation_rows; ++r)
    table.pack_activations[format](x.data() + r * shape_cols, packed.data() + r * stride,
                                   shape_cols);
  Values y(activation_rows * shape_rows);
  table.product[format]({.weights = {.data = data.data(),
                                     .cols = shape_cols,
                                     .stride = shape_cols,
                                     .scales = scales.data(),
                                     .scale_stride = 4},
                         .first = 0,
                         .last = shape_rows,
                         .x = packed.data(),
                         .x_stride = stride,
                         .y = y.data(),
                         .y_stride = shape_rows,
                         .rows = activation_rows});
  return y;
}

template <int format>
void take_product(Table& to, const Table& from) {
  to.pack_activations[format] = from.pack_activations[format];
  to.product[format] = from.product[format];
}

template <int format>
Values widen(const Table& table) {
  auto data = codes(odd * 4);
  for (int i = 0; i < 4; ++i) data[i] = static_cast<std::byte>(i % 2 == 0 ? 0x7f : 0xff);  // NaN
  Values to(odd);
  table.widen[format](data.data(), to.data(), odd);
  return to;
}

// More rows of activations than are taken at once, and both ends of all ranges.
Values shortlist(const Table& table) {
  constexpr std::int64_t cols = 3 * shortlist_unit, rows = 5, count = 13;
  std::vector<std::int8_t> data(rows * cols);
  std::vector<std::int16_t> x(count * cols);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::int8_t>(i % 7 == 0   ? 127
                                       : i % 5 == 0 ? -127
                                                    : static_cast<int>(i * 89 % 255) - 127);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<std::int16_t>(i % 3 == 0   ? 32767
                                     : i % 4 == 0 ? -32767
                                                  : static_cast<int>(i * 14657 % 65535) - 32767);
  std::vector<std::int64_t> sums(rows * count);
  table.shortlist({.codes = data.data(),
                   .cols = cols,
                   .first = 0,
                   .last = rows,
                   .x = x.data(),
                   .count = count,
                   .sums = sums.data()});
  Values halves;  // below 2^40, in two exact parts
  for (const std::int64_t sum : sums) {
    halves.push_back(static_cast<float>(sum >> 20));
    halves.push_back(static_cast<float>(sum & 0xfffff));
  }
  return halves;
}

template <int format>
Values attention(const Table& table) {
  constexpr int heads = 3, count = 70;
  const auto keys = codes(count * odd * 4);
  const auto values = codes(count * odd * 4);
  const Values q = some(heads * odd, 1, 2);
  Values partial(heads * (odd + 2));
  table.attention_span[format]({.heads = heads,
                                .head_dim = odd,
                                .count = count,
                                .scale = 0.09f,
                                .q = q.data(),
                                .keys = keys.data(),
                                .values = values.data(),
                                .kv_stride = odd,
                                .partial = partial.data()});
  return partial;
}

Values merge(const Table& table) {
  Values total = some(odd + 2, 3, 3);
  const Values partial = some(odd + 2, 3, 4);
  table.attention_merge({.head_dim = odd, .total = total.data(), .partial = partial.data()});
  return total;
}

Values rms_norm(const Table& table) {
  const Values x = some(odd, 2, 7), weight = some(odd, 1, 8);
  Values out(odd);
  table.rms_norm(x.data(), weight.data(), out.data(), odd, 1e-6f);
  return out;
}

Values gated_rms_norm(const Table& table) {
  const Values x = some(odd, 2, 9), z = some(odd, 8, 10), weight = some(odd, 1, 11);
  Values out(odd);
  table.gated_rms_norm(x.data(), z.data(), weight.data(), out.data(), odd, 1e-6f);
  return out;
}

Values l2_norm(const Table& table) {
  Values x = some(odd, 2, 12);
  table.l2_norm(x.data(), odd, 0.3f);
  return x;
}

Values rope(const Table& table) {
  Values x = some(2 * odd, 2, 13);
  const Values cos = some(odd, 1, 14), sin = some(odd, 1, 15);
  table.rope(x.data(), cos.data(), sin.data(), odd);
  return x;
}

Values conv_silu(const Table& table) {
  constexpr int rows = 6, kernel = 4;
  const Values x = some(rows * odd, 2, 16), weight = some(kernel * odd, 1, 17);
  const Values history = some((kernel - 1) * odd, 2, 18);
  Values result(rows * odd + history.size());
  table.conv_silu({.x = x.data(),
                   .weight = weight.data(),
                   .history_in = history.data(),
                   .history_out = result.data() + rows * odd,
                   .out = result.data(),
                   .rows = rows,
                   .channels = odd,
                   .kernel = kernel,
                   .first = 0,
                   .last = odd});
  return result;
}

Values delta(const Table& table, void (*Table::*form)(const DeltaHead&)) {
  constexpr int rows = 9, key_dim = 37, columns = 41;
  const Values q = some(rows * key_dim, 1, 19), k = some(rows * key_dim, 0.2f, 20);
  const Values v = some(rows * columns, 1, 21), g = {-.1f, -2, -.5f, 0, -9, -.2f, -1, -.3f, -.4f};
  const Values beta = {.1f, .9f, .5f, 1, .2f, .3f, .7f, .8f, .6f};
  const Values state = some(key_dim * columns, 1, 22);
  Values result(key_dim * columns + rows * columns);
  (table.*form)({.rows = rows,
                 .key_dim = key_dim,
                 .columns = columns,
                 .q = q.data(),
                 .q_stride = key_dim,
                 .k = k.data(),
                 .k_stride = key_dim,
                 .v = v.data(),
                 .v_stride = columns,
                 .g = g.data(),
                 .beta = beta.data(),
                 .gate_stride = 1,
                 .state_in = state.data(),
                 .state_out = result.data(),
                 .state_stride = columns,
                 .out = result.data() + key_dim * columns,
                 .out_stride = columns});
  return result;
}

Values delta_step(const Table& table) {
  return delta(table, &Table::delta_step);
}
Values delta_chunk(const Table& table) {
  return delta(table, &Table::delta_chunk);
}

using Elementwise = void (*Table::*)(const float*, const float*, float*, std::int64_t);

Values elementwise(const Table& table, Elementwise operation) {
  Values x = some(odd, 120, 23);
  x[3] = -std::numeric_limits<float>::infinity();
  x[40] = std::numeric_limits<float>::quiet_NaN();
  const Values y = some(odd, 3, 24);
  Values out(odd);
  (table.*operation)(x.data(), y.data(), out.data(), odd);
  return out;
}

Values silu_mul(const Table& table) {
  return elementwise(table, &Table::silu_mul);
}
Values sigmoid_mul(const Table& table) {
  return elementwise(table, &Table::sigmoid_mul);
}
Values add(const Table& table) {
  return elementwise(table, &Table::add);
}

Values combine(const Table& table) {
  constexpr int slots = 3;
  const Values y = some(slots * odd, 2, 25), weights = {0.5f, 0.3f, 0.2f};
  const Values shared = some(odd, 2, 26), residual = some(odd, 2, 27);
  Values out(odd);
  table.combine({.y = y.data(),
                 .weights = weights.data(),
                 .slots = slots,
                 .shared = shared.data(),
                 .shared_gate = 0.7f,
                 .residual = residual.data(),
                 .out = out.data(),
                 .dim = odd});
  return out;
}

Values softmax(const Table& table) {
  Values x = some(odd, 30, 28);
  table.softmax(x.data(), odd);
  return x;
}

struct Check {
  std::string_view operation;
  Values (*run)(const Table&);
  void (*take)(Table& to, const Table& from);
};

constexpr Check checks[] = {
    {"matmul f32", product<format_f32>, take_product<format_f32>},
    {"matmul f16", product<format_f16>, take_product<format_f16>},
    {"matmul bf16", product<format_bf16>, take_product<format_bf16>},
    {"matmul f8_e4m3", product<format_f8>, take_product<format_f8>},
    {"shortlist_top", shortlist,
     [](Table& to, const Table& from) { to.shortlist = from.shortlist; }},
    {"embed f32", widen<format_f32>,
     [](Table& to, const Table& from) { to.widen[format_f32] = from.widen[format_f32]; }},
    {"embed f16", widen<format_f16>,
     [](Table& to, const Table& from) { to.widen[format_f16] = from.widen[format_f16]; }},
    {"embed bf16", widen<format_bf16>,
     [](Table& to, const Table& from) { to.widen[format_bf16] = from.widen[format_bf16]; }},
    {"embed f8_e4m3", widen<format_f8>,
     [](Table& to, const Table& from) { to.widen[format_f8] = from.widen[format_f8]; }},
    {"rms_norm", rms_norm, [](Table& to, const Table& from) { to.rms_norm = from.rms_norm; }},
    {"gated_rms_norm", gated_rms_norm,
     [](Table& to, const Table& from) { to.gated_rms_norm = from.gated_rms_norm; }},
    {"l2_norm", l2_norm, [](Table& to, const Table& from) { to.l2_norm = from.l2_norm; }},
    {"rope", rope, [](Table& to, const Table& from) { to.rope = from.rope; }},
    {"conv_silu", conv_silu, [](Table& to, const Table& from) { to.conv_silu = from.conv_silu; }},
    {"delta_rule step", delta_step,
     [](Table& to, const Table& from) { to.delta_step = from.delta_step; }},
    {"delta_rule chunked", delta_chunk,
     [](Table& to, const Table& from) { to.delta_chunk = from.delta_chunk; }},
    {"attention f32", attention<format_f32>,
     [](Table& to, const Table& from) {
       to.attention_span[format_f32] = from.attention_span[format_f32];
     }},
    {"attention f16", attention<format_f16>,
     [](Table& to, const Table& from) {
       to.attention_span[format_f16] = from.attention_span[format_f16];
     }},
    {"attention merge", merge,
     [](Table& to, const Table& from) { to.attention_merge = from.attention_merge; }},
    {"silu_mul", silu_mul, [](Table& to, const Table& from) { to.silu_mul = from.silu_mul; }},
    {"sigmoid_mul", sigmoid_mul,
     [](Table& to, const Table& from) { to.sigmoid_mul = from.sigmoid_mul; }},
    {"add", add, [](Table& to, const Table& from) { to.add = from.add; }},
    {"combine_experts", combine, [](Table& to, const Table& from) { to.combine = from.combine; }},
    {"softmax", softmax, [](Table& to, const Table& from) { to.softmax = from.softmax; }},
};

bool same(const Values& a, const Values& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return a.size() == b.size();
}

}  // namespace

Table checked(std::span<const NamedTable> tables, std::vector<std::string>& notes) {
  Table result = *tables.back().table;
  for (const Check& check : checks) {
    const Values wanted = check.run(*tables.back().table);
    for (const NamedTable& candidate : tables) {
      if (same(check.run(*candidate.table), wanted)) {
        check.take(result, *candidate.table);
        break;
      }
      notes.push_back(std::string(candidate.name) + ": " + std::string(check.operation) +
                      " differs from the scalar definition and is not used");
    }
  }
  return result;
}

}  // namespace hearth::kernels::cpu
