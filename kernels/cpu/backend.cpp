// The Backend on the CPU: checks shapes, cuts an operation into pieces, lets the pool run the
// table's functions on them. Knows no arithmetic of its own.
#include "kernels/cpu/backend.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/access.hpp"
#include "kernels/cpu/attention.hpp"
#include "kernels/cpu/gemm/products.hpp"
#include "kernels/cpu/operands.hpp"
#include "kernels/cpu/products.hpp"
#include "kernels/cpu/shortlist.hpp"
#include "kernels/host_memory.hpp"
#include "kernels/pool.hpp"

namespace hearth::kernels::cpu {
namespace {

// What an element of an operation with an exp costs, in multiply-adds.
constexpr std::int64_t exp_work = 16;

class Cpu final : public Backend {
 public:
  Cpu(const Table& table, const GemmChoice& gemm, std::int64_t piece_work, int threads,
      std::string description)
      : table_(table),
        piece_work_(piece_work),
        dense_work_(gemm.table->piece_work),
        description_(std::move(description)),
        numerics_("gemm " + gemm.definition),
        pool_(threads),
        products_(table_, pool_, piece_work),
        gemm_(*gemm.table, pool_),
        attention_(table_, pool_, piece_work, dense_work_),
        shortlist_(table_, pool_) {}

  Device device() const override { return {}; }
  std::string description() const override { return description_; }
  int threads() const override { return pool_.threads(); }
  std::string numerics() const override { return numerics_; }

  // --- Memory ------------------------------------------------------------------------------------

  using Backend::allocate;
  Buffer allocate(std::size_t bytes, MemoryKind) override { return allocate_host(bytes); }
  void discard(const Buffer& buffer, std::size_t byte_offset, std::size_t bytes) override {
    // What a device has locked it would go on reading where it was.
    if (!Access::ends_by(buffer, free_host)) return;
    discard_host({part(buffer, byte_offset, bytes), bytes});
  }
  void write(const Buffer& to, std::size_t byte_offset, std::span<const std::byte> from) override {
    std::byte* const data = part(to, byte_offset, from.size());
    if (!from.empty()) std::memcpy(data, from.data(), from.size());
  }
  void read(const Buffer& from, std::size_t byte_offset, std::span<std::byte> to) override {
    const std::byte* const data = part(from, byte_offset, to.size());
    if (!to.empty()) std::memcpy(to.data(), data, to.size());
  }
  void copy(const Buffer& from, std::size_t from_offset, Buffer& to, std::size_t to_offset,
            std::size_t bytes) override {
    move(from, from_offset, to, to_offset, bytes);
  }
  void write(Slice to, std::span<const float> from) override {
    require(to.size() == from.size(), "write: the window and the values differ in size");
    if (!from.empty()) std::memcpy(Access::data(to), from.data(), from.size_bytes());
  }
  void read(Slice from, std::span<float> to) override {
    require(to.size() == from.size(), "read: the window and the values differ in size");
    if (!to.empty()) std::memcpy(to.data(), Access::data(from), to.size_bytes());
  }
  std::optional<std::span<std::byte>> map(const Buffer& buffer) override {
    return std::span(Access::data(buffer), buffer.bytes());
  }

  // Whatever is queued here has run when the call returns.
  Event transfer(const Buffer& from, std::size_t from_offset, const Buffer& to,
                 std::size_t to_offset, std::size_t bytes) override {
    move(from, from_offset, to, to_offset, bytes);
    return {};
  }
  Event transfer(Slice from, Slice to) override {
    require(from.size() == to.size(), "transfer: the windows differ in size");
    if (from.size() != 0)
      std::memmove(Access::data(to), Access::data(from), from.size() * sizeof(float));
    return {};
  }
  Event queued() override { return {}; }
  bool passed(Event) override { return true; }
  void wait(Event) override {}

  void begin(const std::atomic<bool>* interrupt) override { pool_.begin(interrupt); }
  bool finish() override { return pool_.finish(); }

  // --- Weights -----------------------------------------------------------------------------------

  void embed(const Matrix& table, std::span<const std::int32_t> ids, Slice out) override {
    if (pool_.poll()) return;
    const Weights w = weights(table);
    const auto rows = static_cast<std::int64_t>(ids.size());
    float* const to = at("embed: out", out, rows * w.cols);
    require_indices("embed", ids, table.rows());
    for_rows(rows, w.cols, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) embed_row(table, w, ids[r], to + r * w.cols);
    });
  }

  using Backend::matmul;
  void matmul(std::span<const MatMul> products, ProductForm form) override {
    if (form == ProductForm::gemm)
      gemm_.run(products);
    else
      products_.gemv(products);
  }

  Shortlist make_shortlist(const Matrix& w) override { return shortlist_.make(w); }
  void shortlist_top(const Shortlist& shortlist, const Matrix& w, Slice x, int rows, int k,
                     std::span<const std::int32_t> always, std::span<Candidates> out) override {
    shortlist_.top(shortlist, w, x, rows, k, always, out);
  }

  // --- Norms, RoPE, convolution ------------------------------------------------------------------

  void rms_norm(Rows x, Slice weight, Rows out, int rows, int dim, float eps) override {
    const float* const from = at("rms_norm: x", x, rows, dim);
    const float* const w = at("rms_norm: weight", weight, dim);
    float* const to = at("rms_norm: out", out, rows, dim);
    for_rows(rows, 2 * dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        table_.rms_norm(from + r * x.stride, w, to + r * out.stride, dim, eps);
    });
  }

  void gated_rms_norm(Slice x, Slice z, Slice weight, Slice out, int rows, int dim,
                      float eps) override {
    const std::int64_t size = std::int64_t{rows} * dim;
    const float* const from = at("gated_rms_norm: x", x, size);
    const float* const gate = at("gated_rms_norm: z", z, size);
    const float* const w = at("gated_rms_norm: weight", weight, dim);
    float* const to = at("gated_rms_norm: out", out, size);
    for_rows(rows, exp_work * dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        table_.gated_rms_norm(from + r * dim, gate + r * dim, w, to + r * dim, dim, eps);
    });
  }

  void l2_norm(Rows x, int rows, int groups, int dim, float scale) override {
    float* const values = at("l2_norm: x", x, rows, std::int64_t{groups} * dim);
    for_rows(rows, std::int64_t{2} * groups * dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        for (int g = 0; g < groups; ++g)
          table_.l2_norm(values + r * x.stride + std::int64_t{g} * dim, dim, scale);
    });
  }

  void rope(Slice x, Slice cos, Slice sin, int rows, int heads, int head_dim, int half) override {
    require(2 * half <= head_dim, "rope: more dims to rotate than a head has");
    const std::int64_t width = std::int64_t{heads} * head_dim;
    float* const values = at("rope: x", x, rows * width);
    const float* const c = at("rope: cos", cos, std::int64_t{rows} * half);
    const float* const s = at("rope: sin", sin, std::int64_t{rows} * half);
    for_rows(rows, std::int64_t{4} * heads * half, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        for (int h = 0; h < heads; ++h)
          table_.rope(values + r * width + std::int64_t{h} * head_dim, c + r * half, s + r * half,
                      half);
    });
  }

  void conv_silu(Slice x, Slice weight, Slice history_in, Slice history_out, Slice out, int rows,
                 int channels, int kernel) override {
    require(kernel >= 1 && kernel <= conv_taps, "conv_silu: a kernel of " + std::to_string(kernel) +
                                                    " taps, not 1 … " + std::to_string(conv_taps));
    const std::int64_t size = std::int64_t{rows} * channels;
    const std::int64_t past = std::int64_t{kernel - 1} * channels;
    Convolution whole{.x = at("conv_silu: x", x, size),
                      .weight = at("conv_silu: weight", weight, std::int64_t{channels} * kernel),
                      .history_in = at("conv_silu: history_in", history_in, past),
                      .history_out = at("conv_silu: history_out", history_out, past),
                      .out = at("conv_silu: out", out, size),
                      .rows = rows,
                      .channels = channels,
                      .kernel = kernel};
    // By whole groups of lanes, for the loads' sake.
    const std::int64_t groups = divide_up(channels, lanes);
    for_rows(groups, lanes * rows * (exp_work + kernel), [&](std::int64_t begin, std::int64_t end) {
      Convolution some = whole;
      some.first = begin * lanes;
      some.last = std::min<std::int64_t>(channels, end * lanes);
      table_.conv_silu(some);
    });
  }

  // --- The gated delta rule ----------------------------------------------------------------------

  void delta_gates(Slice b, Slice a, Slice a_log, Slice dt_bias, Slice beta, Slice g, int rows,
                   int heads) override {
    const std::int64_t size = std::int64_t{rows} * heads;
    const float* const from_b = at("delta_gates: b", b, size);
    const float* const from_a = at("delta_gates: a", a, size);
    const float* const logs = at("delta_gates: a_log", a_log, heads);
    const float* const bias = at("delta_gates: dt_bias", dt_bias, heads);
    float* const to_beta = at("delta_gates: beta", beta, size);
    float* const to_g = at("delta_gates: g", g, size);
    for_rows(rows, 8 * exp_work * heads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin * heads; i < end * heads; i += heads)
        cpu::delta_gates(from_b + i, from_a + i, logs, bias, to_beta + i, to_g + i, heads);
    });
  }

  void delta_rule(const DeltaRule& a, DeltaForm form) override {
    require_delta(a);
    const std::int64_t key_width = std::int64_t{a.key_heads} * a.key_dim;
    const std::int64_t value_width = std::int64_t{a.value_heads} * a.value_dim;
    const std::int64_t head_state = std::int64_t{a.key_dim} * a.value_dim;
    const float* const q = at("delta_rule: q", a.q, a.rows, key_width);
    const float* const k = at("delta_rule: k", a.k, a.rows, key_width);
    const float* const v = at("delta_rule: v", a.v, a.rows, value_width);
    const float* const g = at("delta_rule: g", a.g, std::int64_t{a.rows} * a.value_heads);
    const float* const beta = at("delta_rule: beta", a.beta, std::int64_t{a.rows} * a.value_heads);
    const float* const before = at("delta_rule: state_in", a.state_in, a.value_heads * head_state);
    float* const after = at("delta_rule: state_out", a.state_out, a.value_heads * head_state);
    float* const out = at("delta_rule: out", a.out, a.rows * value_width);
    const auto run = form == DeltaForm::step ? table_.delta_step : table_.delta_chunk;

    const std::int64_t parts = divide_up(a.value_dim, delta_columns);
    // Rows [first, end) of one part of a head, segment by segment.
    const auto run_part = [&](std::int64_t index, int first, int end) {
      const std::int64_t head = index / parts;
      const std::int64_t column = index % parts * delta_columns;
      const std::int64_t key = head / (a.value_heads / a.key_heads) * a.key_dim;
      const std::int64_t value = head * a.value_dim + column;
      const std::int64_t state = head * head_state + column;
      int rows = 0;
      for (int row = first; row < end; row += rows) {
        rows = std::min(end - row, until_segment_end(a, row));
        run({.rows = rows,
             .key_dim = a.key_dim,
             .columns =
                 static_cast<int>(std::min<std::int64_t>(delta_columns, a.value_dim - column)),
             .q = q + row * a.q.stride + key,
             .q_stride = a.q.stride,
             .k = k + row * a.k.stride + key,
             .k_stride = a.k.stride,
             .v = v + row * a.v.stride + value,
             .v_stride = a.v.stride,
             .g = g + std::int64_t{row} * a.value_heads + head,
             .beta = beta + std::int64_t{row} * a.value_heads + head,
             .gate_stride = a.value_heads,
             .state_in = (row == 0 ? before : after) + state,
             .state_out = after + state,
             .state_stride = a.value_dim,
             .out = out + row * value_width + value,
             .out_stride = value_width});
      }
    };
    // As many rows at a time as a piece may take, in whole segments.
    const std::int64_t row_work = std::int64_t{4} * a.key_dim * delta_columns;
    const std::int64_t max = std::max<std::int64_t>(1, dense_work_ / (delta_segment * row_work));
    int count = 0;
    for (int first = 0; first < a.rows; first += count) {
      count = static_cast<int>(std::min<std::int64_t>(
          a.rows - first, until_segment_end(a, first) + (max - 1) * delta_segment));
      for_rows(a.value_heads * parts, count * row_work, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) run_part(i, first, first + count);
      });
    }
  }

  // --- Attention ---------------------------------------------------------------------------------

  void kv_append(KvCache& kv, Slice k, Slice v, std::int64_t position, int rows) override {
    if (pool_.poll()) return;
    require_kv(kv, "kv_append");
    require(position >= 0 && position + rows <= kv.capacity,
            "kv_append: positions up to " + std::to_string(position + rows) + " in a cache for " +
                std::to_string(kv.capacity));
    const std::int64_t width = std::int64_t{kv.heads} * kv.head_dim;
    const std::int64_t count = rows * width;
    const float* const keys = at("kv_append: k", k, count);
    const float* const values = at("kv_append: v", v, count);
    const auto offset = static_cast<std::size_t>(position * width) * size_of(kv.type);
    std::byte* const to_keys = Access::data(kv.keys) + offset;
    std::byte* const to_values = Access::data(kv.values) + offset;
    if (kv.type == DType::f32) {
      const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
      std::memcpy(to_keys, keys, bytes);
      std::memcpy(to_values, values, bytes);
      return;
    }
    require(fits_f16(keys, count) && fits_f16(values, count), unfit_for_f16);
    narrow_f16(keys, reinterpret_cast<std::uint16_t*>(to_keys), count);
    narrow_f16(values, reinterpret_cast<std::uint16_t*>(to_values), count);
  }

  void attention(const Attention& args, const KvCache& kv) override {
    require_kv(kv, "attention");
    attention_.run(args, kv);
  }

  // --- Elementwise and rows ----------------------------------------------------------------------

  void silu_mul(Slice gate, Slice up, Slice out) override {
    elementwise(table_.silu_mul, gate, up, out, exp_work);
  }
  void sigmoid_mul(Slice gate, Slice x, Slice out) override {
    elementwise(table_.sigmoid_mul, gate, x, out, exp_work);
  }
  void add(Slice x, Slice y, Slice out) override { elementwise(table_.add, x, y, out, 1); }

  void split_groups(Slice in, int rows, int groups, std::span<const SplitSpec> parts) override {
    std::int64_t group = 0;
    for (const SplitSpec& p : parts) {
      const std::int64_t width = groups * p.width;
      require(p.offset >= 0, "split_groups: a negative offset");
      at("split_groups: out", p.out, rows == 0 ? 0 : (rows - 1) * p.stride + p.offset + width);
      group += p.width;
    }
    const float* const from = at("split_groups: in", in, rows * groups * group);
    for_rows(rows, groups * group, [&](std::int64_t begin, std::int64_t end) {
      const float* next = from + begin * groups * group;
      for (std::int64_t r = begin; r < end; ++r)
        for (int g = 0; g < groups; ++g)
          for (const SplitSpec& p : parts) {
            float* const to = Access::data(p.out) + r * p.stride + p.offset + g * p.width;
            std::copy_n(next, p.width, to);
            next += p.width;
          }
    });
  }

  void gather_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) override {
    if (pool_.poll()) return;
    require(dim >= 1, "gather_rows: rows of no values");
    require_indices("gather_rows", rows, static_cast<std::int64_t>(x.size()) / dim);
    const auto count = static_cast<std::int64_t>(rows.size());
    const float* const from = Access::data(x);
    float* const to = at("gather_rows: out", out, count * dim);
    for_rows(count, dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        std::copy_n(from + rows[r] * dim, dim, to + r * dim);
    });
  }

  void scatter_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) override {
    if (pool_.poll()) return;
    require(dim >= 1, "scatter_rows: rows of no values");
    require_indices("scatter_rows", rows, static_cast<std::int64_t>(out.size()) / dim);
    const auto count = static_cast<std::int64_t>(rows.size());
    const float* const from = at("scatter_rows: x", x, count * dim);
    float* const to = Access::data(out);
    for_rows(count, dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        std::copy_n(from + r * dim, dim, to + rows[r] * dim);
    });
  }

  void combine_experts(Slice y, std::span<const float> weights, Slice shared, Slice shared_gate,
                       Slice residual, Slice out, int rows, int slots, int dim) override {
    const std::int64_t size = std::int64_t{rows} * dim;
    require(weights.size() == static_cast<std::size_t>(rows) * static_cast<std::size_t>(slots),
            "combine_experts: as many weights as rows × slots are needed");
    const float* const experts = at("combine_experts: y", y, size * slots);
    const float* const common = at("combine_experts: shared", shared, size);
    const float* const gates = at("combine_experts: shared_gate", shared_gate, rows);
    const float* const rest = at("combine_experts: residual", residual, size);
    float* const to = at("combine_experts: out", out, size);
    for_rows(rows, std::int64_t{slots + 2} * dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        table_.combine({.y = experts + r * slots * dim,
                        .weights = weights.data() + r * slots,
                        .slots = slots,
                        .shared = common + r * dim,
                        .shared_gate = gates[r],
                        .residual = rest + r * dim,
                        .out = to + r * dim,
                        .dim = dim});
    });
  }

  void softmax(Slice x, int rows, int dim) override {
    float* const values = at("softmax: x", x, std::int64_t{rows} * dim);
    for_rows(rows, exp_work * dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) table_.softmax(values + r * dim, dim);
    });
  }

  void top_k(Slice x, int rows, int dim, int k, std::span<std::int32_t> ids,
             std::span<float> values) override {
    const std::size_t count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(k);
    require(k >= 0 && k <= dim, "top_k: " + std::to_string(k) + " of " + std::to_string(dim));
    require(ids.size() == count && values.size() == count,
            "top_k: room for rows × k ids and values is needed");
    const float* const from = at("top_k: x", x, std::int64_t{rows} * dim);
    // An interrupted call leaves ids that are at least in range.
    std::fill(ids.begin(), ids.end(), 0);
    std::fill(values.begin(), values.end(), 0.0f);
    for_rows(rows, 4 * dim, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        cpu::top_k(from + r * dim, dim, k, ids.data() + r * k, values.data() + r * k);
    });
  }

 private:
  // Runs body(begin, end) over [0, count) in pieces.
  template <class Body>
  void for_rows(std::int64_t count, std::int64_t work, const Body& body) {
    const std::int64_t per_piece = share(count, work, piece_work_, pool_.threads());
    pool_.run(divide_up(count, per_piece), [&](std::int64_t piece) {
      const std::int64_t begin = piece * per_piece;
      body(begin, std::min(count, begin + per_piece));
    });
  }

  static void move(const Buffer& from, std::size_t from_offset, const Buffer& to,
                   std::size_t to_offset, std::size_t bytes) {
    const std::byte* const source = part(from, from_offset, bytes);
    std::byte* const target = part(to, to_offset, bytes);
    if (bytes != 0) std::memmove(target, source, bytes);
  }

  template <class Function>
  void elementwise(Function run, Slice a, Slice b, Slice out, std::int64_t work) {
    require(a.size() == out.size() && b.size() == out.size(),
            "an elementwise operation needs operands of one size");
    const float* const first = Access::data(a);
    const float* const second = Access::data(b);
    float* const to = Access::data(out);
    for_rows(static_cast<std::int64_t>(out.size()), work,
             [&](std::int64_t begin, std::int64_t end) {
               run(first + begin, second + begin, to + begin, end - begin);
             });
  }

  void embed_row(const Matrix& table, const Weights& w, std::int64_t row, float* to) const {
    const auto bytes = static_cast<std::int64_t>(size_of(table.type()));
    table_.widen[format(table.type())](Access::data(table) + row * w.stride * bytes, to, w.cols);
    if (table.type() != DType::f8_e4m3) return;
    const float* const scales = row_scales(w, row);
    for (std::int64_t c = 0; c < w.cols; ++c) to[c] *= scales[c / scale_block * w.scale_step];
  }

  const Table table_;
  const std::int64_t piece_work_;
  const std::int64_t dense_work_;  // the same for operations that reuse what they read
  const std::string description_;
  const std::string numerics_;
  Pool pool_;
  Products products_;
  Gemm gemm_;
  GroupedAttention attention_;
  ShortlistSearch shortlist_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(const Table& table, const GemmChoice& gemm,
                                      std::int64_t piece_work, int threads,
                                      std::string description) {
  return std::make_unique<Cpu>(table, gemm, piece_work, threads, std::move(description));
}

}  // namespace hearth::kernels::cpu
