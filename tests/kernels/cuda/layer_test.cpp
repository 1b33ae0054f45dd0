// Two layers, one with the delta rule and one with attention, each with its experts, decode on a
// CUDA device alone, operation by operation as a model does: the bits are the CPU's, a token takes
// no memory, and the host waits for the router's picks and nothing else.
#include <cmath>

#include "tests/kernels/cuda/emulated_runtime.hpp"
#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

constexpr int hidden = 64, key_heads = 2, value_heads = 4, dim = 16, taps = 4;
constexpr int heads = 4, kv_heads = 2, head_dim = 32, half = 8;
constexpr int experts = 8, picks = 2, expert_dim = 48;
constexpr int key_width = key_heads * dim, value_width = value_heads * dim;
constexpr int mixed = 2 * key_width + value_width;
constexpr int tokens = 7;

// Weights and activations on one backend; the same for the same order of calls.
struct Layers {
  explicit Layers(Backend& backend) : b(backend), d(backend, 0) {
    for (int e = 0; e < experts; ++e) {
      gate.push_back(matrix(DType::f8_e4m3, expert_dim, hidden));
      up.push_back(matrix(DType::f8_e4m3, expert_dim, hidden));
      down.push_back(matrix(DType::f8_e4m3, hidden, expert_dim));
    }
    norm_mixer = values(hidden);
    norm_experts = values(hidden);
  }

  Slice values(int count) { return d.put(made_up(count, 0.5f, ++seed)); }
  Matrix matrix(DType type, int rows, int cols) {
    const Values of_blocks =
        type == DType::f8_e4m3 ? made_up(scale_count(ScaleForm::blocks, rows, cols), 0.02f, ++seed)
                               : Values{};
    return d.matrix(type, rows, cols, made_up_codes(type, rows * cols, ++seed), of_blocks);
  }
  void multiply(const Matrix& w, Slice from, Slice to) { b.matmul(w, from, to, 1); }

  void delta_mixer() {
    b.rms_norm({x, hidden}, norm_mixer, {normed, hidden}, 1, hidden, 1e-6f);
    const MatMul in[] = {
        {in_mixed, normed, projected, 1}, {in_z, normed, z, 1}, {in_ba, normed, ba, 1}};
    b.matmul(in, ProductForm::gemv);
    b.conv_silu(projected, conv, history, history, convolved, 1, mixed, taps);
    b.l2_norm({convolved.sub(0, key_width), key_width}, 1, key_heads, dim, 0.25f);
    b.l2_norm({convolved.sub(key_width, key_width), key_width}, 1, key_heads, dim, 1);
    b.delta_gates(ba.sub(0, value_heads), ba.sub(value_heads, value_heads), a_log, dt_bias, beta, g,
                  1, value_heads);
    DeltaRule rule;
    rule.rows = 1;
    rule.key_heads = key_heads;
    rule.value_heads = value_heads;
    rule.key_dim = rule.value_dim = dim;
    rule.first_position = position;
    rule.q = {convolved.sub(0, key_width), mixed};
    rule.k = {convolved.sub(key_width, key_width), mixed};
    rule.v = {convolved.sub(2 * key_width, value_width), mixed};
    rule.g = g;
    rule.beta = beta;
    rule.state_in = state[position % 2];
    rule.state_out = state[1 - position % 2];
    rule.out = mixer_out;
    b.delta_rule(rule, DeltaForm::step);
    b.gated_rms_norm(mixer_out, z, norm_gated, mixer_out, value_heads, dim, 1e-6f);
    multiply(out_delta, mixer_out, projected.sub(0, hidden));
    b.add(x, projected.sub(0, hidden), x);
  }

  void attention_mixer() {
    b.rms_norm({x, hidden}, norm_mixer, {normed, hidden}, 1, hidden, 1e-6f);
    const MatMul in[] = {{in_q, normed, q, 1},
                         {in_k, normed, k, 1},
                         {in_v, normed, v, 1},
                         {in_gate, normed, attention_gate, 1}};
    b.matmul(in, ProductForm::gemv);
    Values cos, sin;
    for (int i = 0; i < half; ++i) {
      cos.push_back(std::cos(static_cast<float>(position) / static_cast<float>(1 + i)));
      sin.push_back(std::sin(static_cast<float>(position) / static_cast<float>(1 + i)));
    }
    b.write(cosines, cos);
    b.write(sines, sin);
    b.rope(q, cosines, sines, 1, heads, head_dim, half);
    b.rope(k, cosines, sines, 1, kv_heads, head_dim, half);
    b.kv_append(kv, k, v, position, 1);
    b.attention({.rows = 1,
                 .heads = heads,
                 .first_position = position,
                 .scale = 0.2f,
                 .q = q,
                 .out = attended},
                kv);
    b.sigmoid_mul(attention_gate, attended, attended);
    multiply(out_attention, attended, projected.sub(0, hidden));
    b.add(x, projected.sub(0, hidden), x);
  }

  void experts_half() {
    b.rms_norm({x, hidden}, norm_experts, {normed, hidden}, 1, hidden, 1e-6f);
    multiply(router, normed, scores);
    b.softmax(scores, 1, experts);
    std::vector<std::int32_t> ids(picks);
    Values weights(picks);
    b.top_k(scores, 1, experts, picks, ids, weights);
    std::vector<MatMul> first, second;
    for (int i = 0; i < picks; ++i) {
      const auto id = static_cast<std::size_t>(ids[static_cast<std::size_t>(i)]);
      const Slice mine = inner.sub(static_cast<std::size_t>(i) * expert_dim, expert_dim);
      const Slice beside = inner.sub(static_cast<std::size_t>(picks + i) * expert_dim, expert_dim);
      first.push_back({gate[id], normed, mine, 1});
      first.push_back({up[id], normed, beside, 1});
      second.push_back(
          {down[id], mine, outputs.sub(static_cast<std::size_t>(i) * hidden, hidden), 1});
    }
    b.matmul(first, ProductForm::gemv);
    const std::size_t half_of_inner = std::size_t{picks} * expert_dim;
    b.silu_mul(inner.sub(0, half_of_inner), inner.sub(half_of_inner, half_of_inner),
               inner.sub(0, half_of_inner));
    b.matmul(second, ProductForm::gemv);
    multiply(shared, normed, shared_out);
    multiply(shared_gate, normed, shared_score);
    b.combine_experts(outputs, weights, shared_out, shared_score, x, x, 1, picks, hidden);
  }

  void token() {
    delta_mixer();
    experts_half();
    attention_mixer();
    experts_half();
    ++position;
  }

  Backend& b;
  TestDevice d;
  std::uint32_t seed = 0;
  std::int64_t position = 0;
  std::vector<Matrix> gate, up, down;
  Slice norm_mixer, norm_experts;
  Slice norm_gated = values(dim), conv = values(mixed * taps);
  Slice a_log = values(value_heads), dt_bias = values(value_heads);
  Matrix in_mixed = matrix(DType::bf16, mixed, hidden),
         in_z = matrix(DType::f16, value_width, hidden);
  Matrix in_ba = matrix(DType::f32, 2 * value_heads, hidden);
  Matrix out_delta = matrix(DType::bf16, hidden, value_width);
  Matrix in_q = matrix(DType::f8_e4m3, heads* head_dim, hidden);
  Matrix in_k = matrix(DType::f8_e4m3, kv_heads* head_dim, hidden);
  Matrix in_v = matrix(DType::f8_e4m3, kv_heads* head_dim, hidden);
  Matrix in_gate = matrix(DType::f8_e4m3, heads* head_dim, hidden);
  Matrix out_attention = matrix(DType::bf16, hidden, heads* head_dim);
  Matrix router = matrix(DType::bf16, experts, hidden);
  Matrix shared = matrix(DType::f8_e4m3, hidden, hidden);
  Matrix shared_gate = matrix(DType::bf16, 1, hidden);
  KvCache kv = d.kv(DType::f16, tokens, kv_heads, head_dim);
  Slice history = values((taps - 1) * mixed);
  Slice state[2] = {values(value_heads * dim * dim), values(value_heads* dim* dim)};
  Slice x = values(hidden), normed = d.room(hidden), projected = d.room(mixed);
  Slice z = d.room(value_width), ba = d.room(2 * value_heads), convolved = d.room(mixed);
  Slice beta = d.room(value_heads), g = d.room(value_heads), mixer_out = d.room(value_width);
  Slice q = d.room(heads * head_dim), k = d.room(kv_heads * head_dim);
  Slice v = d.room(kv_heads * head_dim), attention_gate = d.room(heads * head_dim);
  Slice attended = d.room(heads * head_dim), cosines = d.room(half), sines = d.room(half);
  Slice scores = d.room(experts), inner = d.room(2 * picks * expert_dim);
  Slice outputs = d.room(picks * hidden), shared_out = d.room(hidden), shared_score = d.room(1);
};

TEST_CASE("layers that decode on a CUDA device have the CPU's bits, and wait for the picks alone") {
  if (gpu() == nullptr) return;
  const auto control = std::make_shared<cuda::EmulatedControl>();
  const std::unique_ptr<Backend> device = cuda::emulated_backend({Device::Kind::cuda, 0}, control);
  Layers here(backend(Isa::scalar, 1)), there(*device);
  for (int token = 0; token < tokens; ++token) {
    CAPTURE(token);
    here.token();
    const std::uint64_t waits = control->waits;
    const std::uint64_t allocations = control->allocations;
    const std::uint64_t copied = control->copied_bytes;
    there.token();
    if (token > 0) {  // once there is scratch
      CHECK(control->allocations == allocations);
      // Two layers: the picks of each, and whether F16 held the keys. The copies: picks, that word,
      // and the angles of RoPE.
      CHECK(control->waits - waits <= 3);
      CHECK(control->copied_bytes - copied == 2 * picks * 8 + 4 + 2 * half * sizeof(float));
    }
    const Values expected = here.d.get(here.x);
    CHECK(std::isfinite(expected.front()));
    const std::string differs = difference(there.d.get(there.x), expected);
    CHECK(differs == "");
  }
  MESSAGE("launches of a token of two layers: ", control->launches / tokens);
}

}  // namespace
}  // namespace hearth::kernels::test
