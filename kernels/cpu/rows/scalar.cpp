// The definition of every operation, written to be read. The vector versions are held against it
// bit for bit, so the order of the operations here is the meaning. Nothing here is tuned.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/cpu/rows/table.hpp"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// --- Lanes ---------------------------------------------------------------------------------------

using Lanes = std::array<float, lanes>;

float larger(float a, float b) {
  return a > b ? a : b;
}

float fold_sum(Lanes x) {
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] = x[i] + x[i + half];
  return x[0];
}

float fold_larger(Lanes x) {
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] = larger(x[i], x[i + half]);
  return x[0];
}

float sum(const float* x, std::int64_t count) {
  Lanes sums{};
  for (std::int64_t i = 0; i < count; ++i) sums[i % lanes] = sums[i % lanes] + x[i];
  return fold_sum(sums);
}

float sum_of_squares(const float* x, std::int64_t count) {
  Lanes sums{};
  for (std::int64_t i = 0; i < count; ++i) sums[i % lanes] = std::fma(x[i], x[i], sums[i % lanes]);
  return fold_sum(sums);
}

float largest(const float* x, std::int64_t count) {
  Lanes top;
  top.fill(-infinity);
  for (std::int64_t i = 0; i < count; ++i) top[i % lanes] = larger(top[i % lanes], x[i]);
  return fold_larger(top);
}

// --- Formats -------------------------------------------------------------------------------------

struct F32 {
  using Code = float;
  static float widen(Code code) { return code; }
};
struct F16 {
  using Code = std::uint16_t;
  static float widen(Code code) { return widen_f16(code); }
};
struct Bf16 {
  using Code = std::uint16_t;
  static float widen(Code code) { return widen_bf16(code); }
};
struct F8 {
  using Code = std::uint8_t;
  static constexpr std::array<float, 256> values = [] {
    std::array<float, 256> result{};
    for (int code = 0; code < 256; ++code) result[code] = widen_f8(static_cast<std::uint8_t>(code));
    return result;
  }();
  static float widen(Code code) { return values[code]; }
};

// Element i of an array of any alignment.
template <class Format>
float at(const void* data, std::int64_t i) {
  typename Format::Code code;
  std::memcpy(&code, static_cast<const std::byte*>(data) + i * std::int64_t{sizeof code},
              sizeof code);
  return Format::widen(code);
}

template <class Format>
void widen(const void* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = at<Format>(from, i);
}

// --- Products ------------------------------------------------------------------------------------

template <class Format>
float dot(const Weights& w, std::int64_t row, const float* x) {
  Lanes sums{};
  for (std::int64_t c = 0; c < w.cols; ++c)
    sums[c % lanes] = std::fma(at<Format>(w.data, row * w.stride + c), x[c], sums[c % lanes]);
  return fold_sum(sums);
}

// Every block of 128 columns has its own sums, which its scale then takes to the totals.
template <>
float dot<F8>(const Weights& w, std::int64_t row, const float* x) {
  const float* const scales = row_scales(w, row);
  Lanes totals{};
  for (std::int64_t begin = 0; begin < w.cols; begin += scale_block) {
    const std::int64_t end = begin + scale_block < w.cols ? begin + scale_block : w.cols;
    Lanes sums{};
    for (std::int64_t c = begin; c < end; ++c)
      sums[c % lanes] = std::fma(at<F8>(w.data, row * w.stride + c), x[c], sums[c % lanes]);
    const float scale = scales[begin / scale_block * w.scale_step];
    for (int i = 0; i < lanes; ++i) totals[i] = std::fma(sums[i], scale, totals[i]);
  }
  return fold_sum(totals);
}

template <class Format>
void product(const Product& p) {
  for (std::int64_t w = p.first; w < p.last; ++w)
    for (std::int64_t r = 0; r < p.rows; ++r)
      p.y[r * p.y_stride + w] = dot<Format>(p.weights, w, p.x + r * p.x_stride);
}

void pack_activations(const float* x, float* to, std::int64_t cols) {
  std::copy_n(x, cols, to);
}

// As in table.hpp; codes come at their value here.
void pack_f8(const float* x, float* to, std::int64_t cols) {
  for (std::int64_t i = 0; i < cols; ++i) to[i] = f8_activation(x[i]) * f8_down;
}

void shortlist(const ShortlistSums& s) {
  for (std::int64_t w = s.first; w < s.last; ++w)
    for (int v = 0; v < s.count; ++v) {
      std::int64_t sum = 0;
      for (std::int64_t c = 0; c < s.cols; ++c)
        sum += s.codes[w * s.cols + c] * s.x[v * s.cols + c];
      s.sums[(w - s.first) * s.count + v] = sum;
    }
}

float dot(const float* a, const float* b, std::int64_t count) {
  return dot<F32>({.data = a, .cols = count, .stride = count}, 0, b);
}

// --- Norms, RoPE, convolution --------------------------------------------------------------------

float inverse_rms(const float* x, std::int64_t dim, float eps) {
  return 1.0f / std::sqrt(sum_of_squares(x, dim) / static_cast<float>(dim) + eps);
}

void rms_norm(const float* x, const float* weight, float* out, std::int64_t dim, float eps) {
  const float inverse = inverse_rms(x, dim, eps);
  for (std::int64_t i = 0; i < dim; ++i) out[i] = x[i] * inverse * (1.0f + weight[i]);
}

void gated_rms_norm(const float* x, const float* z, const float* weight, float* out,
                    std::int64_t dim, float eps) {
  const float inverse = inverse_rms(x, dim, eps);
  for (std::int64_t i = 0; i < dim; ++i) out[i] = x[i] * inverse * weight[i] * silu(z[i]);
}

void l2_norm(float* x, std::int64_t dim, float scale) {
  const float inverse = 1.0f / std::sqrt(sum_of_squares(x, dim) + 1e-6f);
  for (std::int64_t i = 0; i < dim; ++i) x[i] = x[i] * inverse * scale;
}

void rope(float* x, const float* cos, const float* sin, std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float first = x[i];
    const float second = x[i + half];
    x[i] = first * cos[i] - second * sin[i];
    x[i + half] = second * cos[i] + first * sin[i];
  }
}

void conv_silu(const Convolution& a) {
  const std::int64_t past = a.kernel - 1;
  // Input t of a channel; the history is before 0.
  const auto input = [&](std::int64_t t, std::int64_t c) {
    return t < 0 ? a.history_in[(past + t) * a.channels + c] : a.x[t * a.channels + c];
  };
  for (std::int64_t c = a.first; c < a.last; ++c) {
    for (std::int64_t t = 0; t < a.rows; ++t) {
      float total = 0;
      for (std::int64_t j = 0; j < a.kernel; ++j)
        total = std::fma(a.weight[c * a.kernel + j], input(t - past + j, c), total);
      a.out[t * a.channels + c] = silu(total);
    }
    for (std::int64_t i = 0; i < past; ++i)
      a.history_out[i * a.channels + c] = input(a.rows - past + i, c);
  }
}

// --- The gated delta rule ------------------------------------------------------------------------

// S *= exp(g); d = (v - Sᵀk)·beta; S += k⊗d; o = Sᵀq
void delta_step(const DeltaHead& a) {
  const float* before = a.state_in;
  float* const s = a.state_out;
  for (int t = 0; t < a.rows; ++t) {
    const float* const q = a.q + t * a.q_stride;
    const float* const k = a.k + t * a.k_stride;
    const float* const v = a.v + t * a.v_stride;
    const float decay = exp_f32(a.g[t * a.gate_stride]);
    const float beta = a.beta[t * a.gate_stride];
    for (int c = 0; c < a.columns; ++c) {
      float recalled = 0;
      for (int i = 0; i < a.key_dim; ++i) {
        const std::int64_t at = i * a.state_stride + c;
        s[at] = before[at] * decay;
        recalled = std::fma(s[at], k[i], recalled);
      }
      const float d = (v[c] - recalled) * beta;
      float out = 0;
      for (int i = 0; i < a.key_dim; ++i) {
        const std::int64_t at = i * a.state_stride + c;
        s[at] = std::fma(k[i], d, s[at]);
        out = std::fma(s[at], q[i], out);
      }
      a.out[t * a.out_stride + c] = out;
    }
    before = s;
  }
}

// Column c of Sᵀx.
float recall(const DeltaHead& a, const float* x, int c) {
  float result = 0;
  for (int i = 0; i < a.key_dim; ++i)
    result = std::fma(a.state_in[i * a.state_stride + c], x[i], result);
  return result;
}

// The same over a segment at once. With G the running sum of g and S the state before the segment:
//   u_t = beta_t (v_t - e^G_t Sᵀk_t - Σ_{s<t} e^(G_t-G_s) (k_t·k_s) u_s)
//   o_t = e^G_t Sᵀq_t + Σ_{s≤t} e^(G_t-G_s) (q_t·k_s) u_s
//   S'  = e^G_L S + Σ_s e^(G_L-G_s) k_s⊗u_s
void delta_chunk(const DeltaHead& a) {
  float u[delta_segment][delta_columns];
  float sums[delta_segment];
  float total = 0;
  for (int t = 0; t < a.rows; ++t) sums[t] = total = total + a.g[t * a.gate_stride];

  for (int t = 0; t < a.rows; ++t) {
    const float* const q = a.q + t * a.q_stride;
    const float* const k = a.k + t * a.k_stride;
    const float* const v = a.v + t * a.v_stride;
    const float decay = exp_f32(sums[t]);
    float of_k[delta_segment];
    float of_q[delta_segment];
    for (int s = 0; s <= t; ++s) {
      const float* const earlier = a.k + s * a.k_stride;
      const float since = exp_f32(sums[t] - sums[s]);
      of_k[s] = since * dot(k, earlier, a.key_dim);
      of_q[s] = since * dot(q, earlier, a.key_dim);
    }
    for (int c = 0; c < a.columns; ++c) {
      float rest = std::fma(-decay, recall(a, k, c), v[c]);
      for (int s = 0; s < t; ++s) rest = std::fma(-of_k[s], u[s][c], rest);
      u[t][c] = a.beta[t * a.gate_stride] * rest;
      float out = decay * recall(a, q, c);
      for (int s = 0; s <= t; ++s) out = std::fma(of_q[s], u[s][c], out);
      a.out[t * a.out_stride + c] = out;
    }
  }

  const float decay = exp_f32(total);
  float since[delta_segment];
  for (int s = 0; s < a.rows; ++s) since[s] = exp_f32(total - sums[s]);
  for (int i = 0; i < a.key_dim; ++i) {
    for (int c = 0; c < a.columns; ++c) {
      const std::int64_t at = i * a.state_stride + c;
      float value = decay * a.state_in[at];
      for (int s = 0; s < a.rows; ++s)
        value = std::fma(since[s] * a.k[s * a.k_stride + i], u[s][c], value);
      a.state_out[at] = value;
    }
  }
}

// --- Attention -----------------------------------------------------------------------------------

// Softmax in a stream: each block's scores move the largest score up, and what was summed before is
// scaled down to it. A block's missing scores are -∞.
template <class Format>
void attention_span(const AttentionSpan& a) {
  for (int h = 0; h < a.heads; ++h) {
    const float* const q = a.q + h * a.head_dim;
    float* const values = a.partial + h * (a.head_dim + 2);
    float& top = values[a.head_dim];
    float& weight = values[a.head_dim + 1];
    for (int i = 0; i < a.head_dim; ++i) values[i] = 0;
    top = -infinity;
    weight = 0;
    for (int begin = 0; begin < a.count; begin += key_block) {
      const int count = a.count - begin < key_block ? a.count - begin : key_block;
      const Weights keys{.data = a.keys, .cols = a.head_dim, .stride = a.kv_stride};
      float scores[key_block];
      for (int j = 0; j < key_block; ++j)
        scores[j] = j < count ? dot<Format>(keys, begin + j, q) * a.scale : -infinity;
      const float top_before = top;
      top = larger(top, largest(scores, key_block));
      const float fade = exp_f32(top_before - top);
      for (int j = 0; j < key_block; ++j) scores[j] = exp_f32(scores[j] - top);
      weight = std::fma(weight, fade, sum(scores, key_block));
      for (int i = 0; i < a.head_dim; ++i) {
        float value = values[i] * fade;
        for (int j = 0; j < count; ++j)
          value = std::fma(scores[j], at<Format>(a.values, (begin + j) * a.kv_stride + i), value);
        values[i] = value;
      }
    }
  }
}

void attention_merge(const AttentionMerge& a) {
  float& top = a.total[a.head_dim];
  float& weight = a.total[a.head_dim + 1];
  const float their_top = a.partial[a.head_dim];
  const float both = larger(top, their_top);
  const float ours = exp_f32(top - both);
  const float theirs = exp_f32(their_top - both);
  for (int i = 0; i < a.head_dim; ++i)
    a.total[i] = std::fma(a.partial[i], theirs, a.total[i] * ours);
  weight = std::fma(a.partial[a.head_dim + 1], theirs, weight * ours);
  top = both;
}

// --- Elementwise and rows ------------------------------------------------------------------------

void silu_mul(const float* gate, const float* up, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = silu(gate[i]) * up[i];
}

void sigmoid_mul(const float* gate, const float* x, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = sigmoid(gate[i]) * x[i];
}

void add(const float* x, const float* y, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = x[i] + y[i];
}

void combine(const CombineRow& a) {
  const float gate = sigmoid(a.shared_gate);
  for (std::int64_t i = 0; i < a.dim; ++i) {
    float total = 0;
    for (int s = 0; s < a.slots; ++s) total = std::fma(a.weights[s], a.y[s * a.dim + i], total);
    a.out[i] = std::fma(gate, a.shared[i], total) + a.residual[i];
  }
}

void softmax(float* x, std::int64_t dim) {
  const float top = largest(x, dim);
  for (std::int64_t i = 0; i < dim; ++i) x[i] = exp_f32(x[i] - top);
  const float total = sum(x, dim);
  for (std::int64_t i = 0; i < dim; ++i) x[i] = x[i] / total;
}

}  // namespace

bool fits_f16(const float* x, std::int64_t count) {
  bool fits = true;
  for (std::int64_t i = 0; i < count; ++i) fits = fits && kernels::fits_f16(x[i]);
  return fits;
}

void narrow_f16(const float* from, std::uint16_t* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = kernels::narrow_f16(from[i]);
}

void delta_gates(const float* b, const float* a, const float* a_log, const float* dt_bias,
                 float* beta, float* g, std::int64_t heads) {
  for (std::int64_t h = 0; h < heads; ++h) {
    beta[h] = sigmoid(b[h]);
    g[h] = -exp_f32(a_log[h]) * softplus(a[h] + dt_bias[h]);
  }
}

void top_k(const float* x, std::int64_t dim, int k, std::int32_t* ids, float* values) {
  const auto before = [x](std::int32_t a, std::int32_t b) {
    if (x[a] > x[b]) return true;
    if (x[a] < x[b]) return false;
    if (std::isnan(x[a]) != std::isnan(x[b])) return std::isnan(x[b]);
    return a < b;
  };
  std::vector<std::int32_t> order(static_cast<std::size_t>(dim));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
  for (int i = 0; i < k; ++i) {
    ids[i] = order[static_cast<std::size_t>(i)];
    values[i] = x[ids[i]];
  }
}

constinit const Table scalar_table = {
    .pack_activations = {pack_activations, pack_activations, pack_activations, pack_f8},
    .product = {product<F32>, product<F16>, product<Bf16>, product<F8>},
    .widen = {widen<F32>, widen<F16>, widen<Bf16>, widen<F8>},
    .shortlist = shortlist,
    .rms_norm = rms_norm,
    .gated_rms_norm = gated_rms_norm,
    .l2_norm = l2_norm,
    .rope = rope,
    .conv_silu = conv_silu,
    .delta_step = delta_step,
    .delta_chunk = delta_chunk,
    .attention_span = {attention_span<F32>, attention_span<F16>},
    .attention_merge = attention_merge,
    .silu_mul = silu_mul,
    .sigmoid_mul = sigmoid_mul,
    .add = add,
    .combine = combine,
    .softmax = softmax,
};

}  // namespace hearth::kernels::cpu
