// Times the kernels on made-up weights.
#include "engine/measure/kernel_speed.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <vector>

namespace hearth::engine {

namespace {

using Clock = std::chrono::steady_clock;
using kernels::Buffer;
using kernels::DType;
using kernels::MatMul;
using kernels::Matrix;
using kernels::ProductForm;
using kernels::Slice;

constexpr std::size_t pool_bytes = std::size_t{256} << 20;  // more than caches hold
constexpr std::int64_t block = 128;                         // of an FP8 scale
constexpr std::int64_t border = 4096;                       // where matrices begin

// Median seconds of what `work` does, repeated for about as long.
double seconds_of(double about, const std::function<void()>& work) {
  work();
  std::vector<double> times;
  const auto began = Clock::now();
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  while (times.size() < 3 || since(began) < about) {
    const auto from = Clock::now();
    work();
    times.push_back(since(from));
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

class Bench {
 public:
  Bench(kernels::Backend& backend, const ModelConfig& config, WeightForm form)
      : backend_(backend),
        config_(config),
        fp8_(form != WeightForm::bf16),
        pool_(backend.allocate(pool_bytes)),
        scales_(backend.allocate(pool_bytes / (block * block) * sizeof(float))) {
    // An ordinary number, as FP8 and as BF16.
    const std::vector<std::byte> numbers(pool_bytes, std::byte{0x3c});
    backend.write(pool_, 0, numbers);
    backend.write(kernels::slice(scales_),
                  std::vector<float>(scales_.bytes() / sizeof(float), 0.01F));
  }

  // Bytes a second of the products that one token asks a layer for.
  double decode() {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t values =
        std::int64_t{config_.linear_num_value_heads} * config_.linear_value_head_dim;
    const std::int64_t keys =
        std::int64_t{config_.linear_num_key_heads} * config_.linear_key_head_dim;
    const std::int64_t width = config_.moe_intermediate_size;
    const std::int64_t shared =
        config_.is_dense() ? config_.intermediate_size : config_.shared_expert_intermediate_size;
    double bytes = 0;
    const double seconds = seconds_of(0.4, [&] {
      bytes = 0;
      bytes += run({{2 * keys + 2 * values, hidden}}, 1);
      bytes += run({{hidden, values}}, 1);
      bytes += run({{shared, hidden}, {shared, hidden}}, 1);
      bytes += run({{hidden, shared}}, 1);
      if (config_.is_dense()) return;
      bytes += run({{config_.num_experts, hidden, true}}, 1);
      const auto k = static_cast<std::size_t>(config_.num_experts_per_tok);
      bytes += run(std::vector<Shape>(2 * k, {width, hidden}), 1);
      bytes += run(std::vector<Shape>(k, {hidden, width}), 1);
    });
    return bytes / seconds;
  }

  // Bytes of a shortlist a second, where few rows can win.
  double shortlist_speed() {
    constexpr std::size_t pattern_values = std::size_t{1} << 19;
    constexpr std::int64_t rows = 32768;
    const std::int64_t cols = config_.hidden_size;
    std::minstd_rand random;
    std::vector<std::uint16_t> pattern(pattern_values);  // of BF16: ±0.0078 to 0.0156
    for (std::uint16_t& value : pattern) {
      const auto bits = static_cast<std::uint32_t>(random());
      value = static_cast<std::uint16_t>(0x3c00 | (bits >> 8 & 0x7f) | (bits >> 4 & 0x8000));
    }
    const std::span<const std::byte> repeated = std::as_bytes(std::span(pattern));
    const auto bytes = static_cast<std::size_t>(rows * cols) * size_of(DType::bf16);
    const Buffer weights = backend_.allocate(bytes);
    for (std::size_t at = 0; at < bytes; at += repeated.size())
      backend_.write(weights, at, repeated.first(std::min(repeated.size(), bytes - at)));
    std::vector<float> activations(static_cast<std::size_t>(cols));
    for (float& value : activations) value = static_cast<float>(random() % 2001) * 1e-3F - 1;
    const Buffer x = floats(cols, 0);
    backend_.write(kernels::slice(x), activations);

    const Matrix matrix{weights, 0, DType::bf16, rows, cols, {}};
    const kernels::Shortlist shortlist = backend_.make_shortlist(matrix);
    std::array<kernels::Candidates, 1> found;
    const double seconds = seconds_of(0.2, [&] {
      backend_.shortlist_top(shortlist, matrix, kernels::slice(x), 1, 1, {}, found);
      backend_.finish();
    });
    return static_cast<double>(shortlist.bytes()) / seconds;
  }

  // Operations a second of experts, or of a dense layer's MLP, that get so many rows each.
  double experts(std::int64_t rows) {
    constexpr std::int64_t rows_at_once = 1024;
    const auto count =
        static_cast<std::size_t>(std::clamp<std::int64_t>(rows_at_once / rows, 1, 32));
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t width =
        config_.is_dense() ? config_.intermediate_size : config_.moe_intermediate_size;
    const double seconds = seconds_of(0.15, [&] {
      run(std::vector<Shape>(2 * count, {width, hidden}), rows);
      run(std::vector<Shape>(count, {hidden, width}), rows);
    });
    return static_cast<double>(count) * 3 * 2 * static_cast<double>(rows * width * hidden) /
           seconds;
  }

  // Seconds that a block of rows takes in the delta rule.
  double delta_rule(int rows) {
    kernels::DeltaRule rule;
    rule.rows = rows;
    rule.key_heads = config_.linear_num_key_heads;
    rule.value_heads = config_.linear_num_value_heads;
    rule.key_dim = config_.linear_key_head_dim;
    rule.value_dim = config_.linear_value_head_dim;
    const std::int64_t keys = std::int64_t{rule.key_heads} * rule.key_dim;
    const std::int64_t values = std::int64_t{rule.value_heads} * rule.value_dim;
    const Buffer q = floats(rows * keys, 0.01F);
    const Buffer k = floats(rows * keys, 0.01F);
    const Buffer v = floats(rows * values, 0.01F);
    const Buffer g = floats(std::int64_t{rows} * rule.value_heads, -0.1F);
    const Buffer beta = floats(std::int64_t{rows} * rule.value_heads, 0.5F);
    const Buffer in = floats(values * rule.key_dim, 0.01F);
    const Buffer out_state = floats(values * rule.key_dim, 0);
    const Buffer out = floats(rows * values, 0);
    rule.q = {kernels::slice(q), keys};
    rule.k = {kernels::slice(k), keys};
    rule.v = {kernels::slice(v), values};
    rule.g = kernels::slice(g);
    rule.beta = kernels::slice(beta);
    rule.state_in = kernels::slice(in);
    rule.state_out = kernels::slice(out_state);
    rule.out = kernels::slice(out);
    return seconds_of(0.15, [&] {
      backend_.delta_rule(rule, kernels::DeltaForm::chunked);
      backend_.finish();
    });
  }

  // Seconds that a block of rows takes in attention behind `depth` positions.
  double attention(int rows, std::int64_t depth) {
    kernels::KvCache kv;
    kv.heads = config_.num_key_value_heads;
    kv.head_dim = config_.head_dim;
    kv.capacity = depth + rows;
    const std::int64_t width = std::int64_t{kv.heads} * kv.head_dim;
    kv.keys = floats(kv.capacity * width, 0.01F);
    kv.values = floats(kv.capacity * width, 0.01F);
    const std::int64_t queries = std::int64_t{config_.num_attention_heads} * config_.head_dim;
    const Buffer q = floats(rows * queries, 0.01F);
    const Buffer out = floats(rows * queries, 0);
    kernels::Attention attention;
    attention.rows = rows;
    attention.heads = config_.num_attention_heads;
    attention.first_position = depth;
    attention.scale = 0.06F;
    attention.q = kernels::slice(q);
    attention.out = kernels::slice(out);
    return seconds_of(0.15, [&] {
      backend_.attention(attention, kv);
      backend_.finish();
    });
  }

 private:
  struct Shape {
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    bool router = false;  // stays BF16 in an FP8 checkpoint
  };

  Buffer floats(std::int64_t count, float value) {
    Buffer buffer = backend_.allocate(static_cast<std::size_t>(count) * sizeof(float));
    backend_.write(kernels::slice(buffer),
                   std::vector<float>(static_cast<std::size_t>(count), value));
    return buffer;
  }

  // Products of `rows` rows with matrices of these shapes, together; bytes of their weights. Each
  // time others of the pool, so that they come from memory.
  double run(const std::vector<Shape>& shapes, std::int64_t rows) {
    std::int64_t in = 0;
    std::int64_t out = 0;
    for (const Shape& shape : shapes) {
      in = std::max(in, shape.cols * rows);
      out += shape.rows * rows;
    }
    if (x_.bytes() < static_cast<std::size_t>(in) * sizeof(float)) x_ = floats(in, 0.01F);
    if (y_.bytes() < static_cast<std::size_t>(out) * sizeof(float)) y_ = floats(out, 0);
    std::vector<MatMul> products;
    std::size_t y = 0;
    double bytes = 0;
    for (const Shape& shape : shapes) {
      const auto outputs = static_cast<std::size_t>(shape.rows * rows);
      products.push_back({matrix(shape),
                          kernels::slice(x_).sub(0, static_cast<std::size_t>(shape.cols * rows)),
                          kernels::slice(y_).sub(y, outputs), static_cast<int>(rows)});
      y += outputs;
      bytes += static_cast<double>(shape.rows * shape.cols) *
               static_cast<double>(size_of(products.back().w.type()));
    }
    backend_.matmul(products, rows == 1 ? ProductForm::gemv : ProductForm::gemm);
    backend_.finish();
    return bytes;
  }

  Matrix matrix(const Shape& shape) {
    const DType type = fp8_ && !shape.router ? DType::f8_e4m3 : DType::bf16;
    const auto bytes = static_cast<std::size_t>(shape.rows * shape.cols) * size_of(type);
    if (next_ + bytes > pool_bytes) next_ = 0;
    const std::size_t at = next_;
    next_ += (bytes + border - 1) / border * border;
    Slice scales;
    if (type == DType::f8_e4m3) {
      const std::int64_t count =
          ((shape.rows + block - 1) / block) * ((shape.cols + block - 1) / block);
      scales = kernels::slice(scales_).sub(0, static_cast<std::size_t>(count));
    }
    return {pool_, at, type, shape.rows, shape.cols, scales};
  }

  kernels::Backend& backend_;
  const ModelConfig& config_;
  bool fp8_;
  Buffer pool_;
  Buffer scales_;
  Buffer x_;
  Buffer y_;
  std::size_t next_ = 0;
};

}  // namespace

KernelSpeed measure_kernels(kernels::Backend& backend, const ModelConfig& config, WeightForm form) {
  constexpr int rows = 256;  // that a layer's mixer computes together
  constexpr std::int64_t depth = 2048;
  const Costs costs = costs_of(config, form);
  Bench bench(backend, config, form);
  KernelSpeed speed;
  speed.products = bench.decode();
  speed.shortlist = bench.shortlist_speed();
  for (const std::int64_t each : {4, 16, 64, 256}) {
    speed.gemm.push_back({static_cast<double>(each), bench.experts(each)});
  }
  double delta_rule = 0;
  double attention = 0;
  for (const LayerCost& layer : costs.layers) {
    delta_rule = std::max(delta_rule, layer.delta_rule_flops);
    attention = std::max(attention, layer.attention_flops);
  }
  if (delta_rule > 0) speed.delta_rule = delta_rule * rows / bench.delta_rule(rows);
  if (attention > 0) {
    const double seen = static_cast<double>(depth) + rows / 2.0;
    speed.attention = attention * rows * seen / bench.attention(rows, depth);
  }
  return speed;
}

}  // namespace hearth::engine
