// The Backend on a CUDA device: checks shapes, fills the kernels' parameters, queues them. Knows no
// arithmetic of its own.
#include "kernels/cuda/backend.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/attention.hpp"
#include "kernels/cuda/delta_rule.hpp"
#include "kernels/cuda/operands.hpp"
#include "kernels/cuda/products.hpp"
#include "kernels/cuda/staging.hpp"

namespace hearth::kernels::cuda {
namespace {

class Cuda final : public Backend {
 public:
  Cuda(std::unique_ptr<Runtime> runtime, const Kernels& kernels)
      : runtime_(std::move(runtime)),
        kernels_(kernels),
        device_(runtime_->device()),
        operands_(device_),
        staging_(*runtime_),
        attention_(*runtime_, kernels_),
        unfit_(runtime_->allocate(sizeof(std::uint32_t), MemoryKind::device)),
        unfit_seen_(runtime_->allocate(sizeof(std::uint32_t), MemoryKind::page_locked)) {}

  // What is queued uses memory that goes with this.
  ~Cuda() override {
    try {
      synchronise();
    } catch (const Error&) {
      // A device that has failed runs nothing any more.
    }
  }

  Device device() const override { return device_; }
  std::string description() const override { return runtime_->description(); }
  int threads() const override { return 0; }
  std::string numerics() const override { return "gemm f32"; }

  // --- Memory ------------------------------------------------------------------------------------

  std::optional<DeviceMemory> memory() override { return runtime_->memory(); }
  using Backend::allocate;
  Buffer allocate(std::size_t bytes, MemoryKind kind) override {
    return runtime_->allocate(bytes, kind);
  }
  void discard(const Buffer&, std::size_t, std::size_t) override {}  // no part can be given back
  void write(const Buffer& to, std::size_t byte_offset, std::span<const std::byte> from) override {
    staging_.upload(operands_.part(to, byte_offset, from.size()), from);
  }
  void read(const Buffer& from, std::size_t byte_offset, std::span<std::byte> to) override {
    staging_.download(to, operands_.part(from, byte_offset, to.size()));
    report_unfit();
  }
  void copy(const Buffer& from, std::size_t from_offset, Buffer& to, std::size_t to_offset,
            std::size_t bytes) override {
    transfer(from, from_offset, to, to_offset, bytes);
  }
  void write(Slice to, std::span<const float> from) override {
    require(to.size() == from.size(), "write: the window and the values differ in size");
    staging_.upload(bytes_of(operands_.at("write", to, count(to))), std::as_bytes(from));
  }
  void read(Slice from, std::span<float> to) override {
    require(to.size() == from.size(), "read: the window and the values differ in size");
    staging_.download(std::as_writable_bytes(to),
                      bytes_of(operands_.at("read", from, count(from))));
    report_unfit();
  }
  std::optional<std::span<std::byte>> map(const Buffer& buffer) override {
    if (buffer.device() != Device{}) return std::nullopt;
    return std::span(Access::data(buffer), buffer.bytes());
  }

  Event transfer(const Buffer& from, std::size_t from_offset, const Buffer& to,
                 std::size_t to_offset, std::size_t bytes) override {
    const std::byte* const source = here_or_host(from, from_offset, bytes);
    std::byte* const target = here_or_host(to, to_offset, bytes);
    if (bytes != 0) runtime_->copy(target, source, bytes);
    return {runtime_->record()};
  }
  Event transfer(Slice from, Slice to) override {
    require(from.size() == to.size(), "transfer: the windows differ in size");
    for (const Slice& end : {from, to})
      if (end.device() != Device{} && end.size() != 0) operands_.require_here(end.device());
    if (from.size() != 0)
      runtime_->copy(Access::data(to), Access::data(from), from.size() * sizeof(float));
    return {runtime_->record()};
  }
  Event queued() override { return {runtime_->record()}; }
  bool passed(Event event) override { return runtime_->passed(event.number); }
  void wait(Event event) override {
    runtime_->wait(event.number);
    report_unfit();
  }

  void begin(const std::atomic<bool>* interrupt) override { interrupt_ = interrupt; }
  bool finish() override {
    interrupt_ = nullptr;
    const bool complete = std::exchange(complete_, true);
    synchronise();
    report_unfit();
    return complete;
  }

  // --- Weights -----------------------------------------------------------------------------------

  void embed(const Matrix& table, std::span<const std::int32_t> ids, Slice out) override {
    if (interrupted()) return;
    cpu::require_indices("embed", ids, table.rows());
    Embedding a{.w = operands_.weights(table)};
    a.out = operands_.at("embed: out", out, std::int64_t(ids.size()) * a.w.cols);
    by_indices(ids, a.ids, [&](unsigned rows) {
      launch(kernels_.embed[cpu::format(table.type())], {plain_blocks(a.w.cols), rows}, a);
      a.out += rows * a.w.cols;
    });
  }

  using Backend::matmul;
  void matmul(std::span<const MatMul> products, ProductForm form) override {
    if (interrupted()) return;
    if (form == ProductForm::gemm)
      launch_gemm(*runtime_, kernels_, products);
    else
      launch_gemv(*runtime_, kernels_, products);
  }

  // A device reads its whole memory in little time: the whole matrix is multiplied, and the
  // shortlist takes no memory.
  Shortlist make_shortlist(const Matrix& w) override {
    operands_.weights(w);
    Shortlist result;
    result.rows = w.rows();
    result.cols = w.cols();
    return result;
  }
  void shortlist_top(const Shortlist& shortlist, const Matrix& w, Slice x, int rows, int k,
                     std::span<const std::int32_t> always, std::span<Candidates> out) override {
    require(shortlist.rows == w.rows() && shortlist.cols == w.cols(),
            "shortlist_top: the shortlist is that of another matrix");
    require(k >= 0 && out.size() == static_cast<std::size_t>(rows),
            "shortlist_top: room for the candidates of every row is needed");
    cpu::require_indices("shortlist_top", always, w.rows());
    for (Candidates& candidates : out) candidates = {};
    if (rows == 0 || interrupted()) return;
    const auto width = static_cast<std::size_t>(w.rows());
    const Buffer products = allocate(static_cast<std::size_t>(rows) * width * sizeof(float));
    matmul(w, x, slice(products), rows);
    std::vector<float> y(static_cast<std::size_t>(rows) * width);
    read(slice(products), y);
    const int picks = static_cast<int>(std::min<std::int64_t>(k, w.rows()));
    std::vector<float> values(static_cast<std::size_t>(picks));
    for (std::size_t r = 0; r < out.size(); ++r) {
      const float* const row = y.data() + r * width;
      std::vector<std::int32_t>& ids = out[r].ids;
      ids.resize(static_cast<std::size_t>(picks));
      cpu::top_k(row, w.rows(), picks, ids.data(), values.data());
      ids.insert(ids.end(), always.begin(), always.end());
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
      for (const std::int32_t id : ids) out[r].scores.push_back(row[id]);
    }
  }

  // --- Norms, RoPE, convolution ------------------------------------------------------------------

  void rms_norm(Rows x, Slice weight, Rows out, int rows, int dim, float eps) override {
    norm(kernels_.rms_norm, {.x = operands_.at("rms_norm: x", x, rows, dim),
                             .weight = operands_.at("rms_norm: weight", weight, dim),
                             .out = operands_.at("rms_norm: out", out, rows, dim),
                             .x_stride = x.stride,
                             .out_stride = out.stride,
                             .rows = rows,
                             .dim = dim,
                             .number = eps});
  }
  void gated_rms_norm(Slice x, Slice z, Slice weight, Slice out, int rows, int dim,
                      float eps) override {
    const std::int64_t size = std::int64_t{rows} * dim;
    norm(kernels_.gated_rms_norm, {.x = operands_.at("gated_rms_norm: x", x, size),
                                   .z = operands_.at("gated_rms_norm: z", z, size),
                                   .weight = operands_.at("gated_rms_norm: weight", weight, dim),
                                   .out = operands_.at("gated_rms_norm: out", out, size),
                                   .rows = rows,
                                   .dim = dim,
                                   .number = eps});
  }
  void l2_norm(Rows x, int rows, int groups, int dim, float scale) override {
    norm(kernels_.l2_norm, {.out = operands_.at("l2_norm: x", x, rows, std::int64_t{groups} * dim),
                            .out_stride = x.stride,
                            .rows = rows,
                            .groups = groups,
                            .dim = dim,
                            .number = scale});
  }
  void rope(Slice x, Slice cos, Slice sin, int rows, int heads, int head_dim, int half) override {
    require(2 * half <= head_dim, "rope: more dims to rotate than a head has");
    plain(kernels_.rope, std::int64_t{rows} * heads * half,
          Rope{.x = operands_.at("rope: x", x, std::int64_t{rows} * heads * head_dim),
               .cos = operands_.at("rope: cos", cos, std::int64_t{rows} * half),
               .sin = operands_.at("rope: sin", sin, std::int64_t{rows} * half),
               .rows = rows,
               .heads = heads,
               .head_dim = head_dim,
               .half = half});
  }
  void conv_silu(Slice x, Slice weight, Slice history_in, Slice history_out, Slice out, int rows,
                 int channels, int kernel) override {
    require(kernel >= 1 && kernel <= cpu::conv_taps,
            "conv_silu: a kernel of " + std::to_string(kernel) + " taps, not 1 … " +
                std::to_string(cpu::conv_taps));
    const std::int64_t size = std::int64_t{rows} * channels;
    const std::int64_t past = std::int64_t{kernel - 1} * channels;
    plain(kernels_.conv_silu, channels,
          cpu::Convolution{
              .x = operands_.at("conv_silu: x", x, size),
              .weight = operands_.at("conv_silu: weight", weight, std::int64_t{channels} * kernel),
              .history_in = operands_.at("conv_silu: history_in", history_in, past),
              .history_out = operands_.at("conv_silu: history_out", history_out, past),
              .out = operands_.at("conv_silu: out", out, size),
              .rows = rows,
              .channels = channels,
              .kernel = kernel});
  }

  // --- The gated delta rule ----------------------------------------------------------------------

  void delta_gates(Slice b, Slice a, Slice a_log, Slice dt_bias, Slice beta, Slice g, int rows,
                   int heads) override {
    const std::int64_t size = std::int64_t{rows} * heads;
    plain(kernels_.delta_gates, size,
          DeltaGates{.b = operands_.at("delta_gates: b", b, size),
                     .a = operands_.at("delta_gates: a", a, size),
                     .a_log = operands_.at("delta_gates: a_log", a_log, heads),
                     .dt_bias = operands_.at("delta_gates: dt_bias", dt_bias, heads),
                     .beta = operands_.at("delta_gates: beta", beta, size),
                     .g = operands_.at("delta_gates: g", g, size),
                     .count = size,
                     .heads = heads});
  }

  void delta_rule(const DeltaRule& args, DeltaForm form) override {
    if (!interrupted()) launch_delta_rule(*runtime_, kernels_, args, form);
  }

  // --- Attention ---------------------------------------------------------------------------------

  void kv_append(KvCache& kv, Slice k, Slice v, std::int64_t position, int rows) override {
    operands_.kv(kv, "kv_append");
    require(position >= 0 && position + rows <= kv.capacity,
            "kv_append: positions up to " + std::to_string(position + rows) + " in a cache for " +
                std::to_string(kv.capacity));
    const std::int64_t width = std::int64_t{kv.heads} * kv.head_dim;
    const auto offset = static_cast<std::size_t>(position * width) * size_of(kv.type);
    plain(kernels_.kv_append[cpu::format(kv.type)], rows * width,
          KvAppend{.k = operands_.at("kv_append: k", k, rows * width),
                   .v = operands_.at("kv_append: v", v, rows * width),
                   .keys = Access::data(kv.keys) + offset,
                   .values = Access::data(kv.values) + offset,
                   .count = rows * width,
                   .unfit = reinterpret_cast<std::uint32_t*>(Access::data(unfit_))});
    if (kv.type != DType::f16) return;
    runtime_->copy(Access::data(unfit_seen_), Access::data(unfit_), sizeof(std::uint32_t));
    unfit_known_ = runtime_->record();
  }
  void attention(const Attention& args, const KvCache& kv) override {
    operands_.kv(kv, "attention");
    if (interrupted()) return;
    attention_.run(args, kv);
  }

  // --- Elementwise and rows ----------------------------------------------------------------------

  void silu_mul(Slice gate, Slice up, Slice out) override {
    elementwise(kernels_.silu_mul, gate, up, out);
  }
  void sigmoid_mul(Slice gate, Slice x, Slice out) override {
    elementwise(kernels_.sigmoid_mul, gate, x, out);
  }
  void add(Slice x, Slice y, Slice out) override { elementwise(kernels_.add, x, y, out); }

  void split_groups(Slice in, int rows, int groups, std::span<const SplitSpec> parts) override {
    require(parts.size() <= Split::max, "split_groups: more than " + std::to_string(Split::max) +
                                            " parts cannot be split on a CUDA device");
    Split a{.rows = rows, .groups = groups};
    for (const SplitSpec& p : parts) {
      const std::int64_t width = groups * p.width;
      require(p.offset >= 0, "split_groups: a negative offset");
      float* const out = operands_.at("split_groups: out", p.out,
                                      rows == 0 ? 0 : (rows - 1) * p.stride + p.offset + width);
      a.part[a.parts++] = {out + p.offset, p.width, p.stride};
      a.width += p.width;
    }
    a.in = operands_.at("split_groups: in", in, rows * groups * a.width);
    plain(kernels_.split_groups, rows * groups * a.width, a);
  }
  void gather_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) override {
    require(dim >= 1, "gather_rows: rows of no values");
    cpu::require_indices("gather_rows", rows, count(x) / dim);
    MoveRows a{.from = operands_.at("gather_rows: x", x, 0),
               .to = operands_.at("gather_rows: out", out, std::int64_t(rows.size()) * dim),
               .dim = dim};
    move_rows(kernels_.gather_rows, rows, a, [&](std::int64_t moved) { a.to += moved; });
  }
  void scatter_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) override {
    require(dim >= 1, "scatter_rows: rows of no values");
    cpu::require_indices("scatter_rows", rows, count(out) / dim);
    MoveRows a{.from = operands_.at("scatter_rows: x", x, std::int64_t(rows.size()) * dim),
               .to = operands_.at("scatter_rows: out", out, 0),
               .dim = dim};
    move_rows(kernels_.scatter_rows, rows, a, [&](std::int64_t moved) { a.from += moved; });
  }
  void combine_experts(Slice y, std::span<const float> weights, Slice shared, Slice shared_gate,
                       Slice residual, Slice out, int rows, int slots, int dim) override {
    require(weights.size() == static_cast<std::size_t>(rows) * static_cast<std::size_t>(slots),
            "combine_experts: as many weights as rows × slots are needed");
    require(slots >= 0 && slots <= Combine::max, "combine_experts: too many slots");
    const std::int64_t size = std::int64_t{rows} * dim;
    Combine a{.y = operands_.at("combine_experts: y", y, size * slots),
              .shared = operands_.at("combine_experts: shared", shared, size),
              .shared_gate = operands_.at("combine_experts: shared_gate", shared_gate, rows),
              .residual = operands_.at("combine_experts: residual", residual, size),
              .out = operands_.at("combine_experts: out", out, size),
              .slots = slots,
              .dim = dim};
    const int most = slots == 0 ? rows : Combine::max / slots;
    for (int first = 0; first < rows; first += a.rows) {
      a.rows = std::min(most, rows - first);
      std::copy_n(weights.begin() + std::ptrdiff_t{first} * slots, a.rows * slots, a.weights);
      const std::int64_t values = std::int64_t{a.rows} * dim;
      plain(kernels_.combine, values, a);
      a.y += values * slots;
      a.shared += values;
      a.shared_gate += a.rows;
      a.residual += values;
      a.out += values;
    }
  }
  void softmax(Slice x, int rows, int dim) override {
    launch(kernels_.softmax, {warp_blocks(rows)},
           Softmax{operands_.at("softmax: x", x, std::int64_t{rows} * dim), rows, dim},
           norm_threads);
  }
  void top_k(Slice x, int rows, int dim, int k, std::span<std::int32_t> ids,
             std::span<float> values) override {
    const std::size_t picks = static_cast<std::size_t>(rows) * static_cast<std::size_t>(k);
    require(k >= 0 && k <= dim, "top_k: " + std::to_string(k) + " of " + std::to_string(dim));
    require(ids.size() == picks && values.size() == picks,
            "top_k: room for rows × k ids and values is needed");
    const float* const from = operands_.at("top_k: x", x, std::int64_t{rows} * dim);
    // An interrupted call leaves ids that are at least in range.
    std::fill(ids.begin(), ids.end(), 0);
    std::fill(values.begin(), values.end(), 0.0f);
    if (picks == 0 || interrupted()) return;
    const std::size_t bytes = ids.size_bytes() + values.size_bytes();
    if (picks_.bytes() < bytes) {
      synchronise();
      picks_ = allocate(bytes);
    }
    std::byte* const there = Access::data(picks_);
    launch(kernels_.top_k, {warp_blocks(rows)},
           TopK{.x = from,
                .ids = reinterpret_cast<std::int32_t*>(there),
                .values = reinterpret_cast<float*>(there + ids.size_bytes()),
                .rows = rows,
                .dim = dim,
                .k = k},
           norm_threads);
    std::vector<std::byte> both(bytes);
    staging_.download(both, there);
    std::memcpy(ids.data(), both.data(), ids.size_bytes());
    std::memcpy(values.data(), both.data() + ids.size_bytes(), values.size_bytes());
    report_unfit();
  }

 private:
  static std::int64_t count(Slice slice) { return static_cast<std::int64_t>(slice.size()); }
  static std::byte* bytes_of(float* values) { return reinterpret_cast<std::byte*>(values); }
  static unsigned plain_blocks(std::int64_t values) {
    return static_cast<unsigned>(divide_up(values, plain_threads));
  }
  static unsigned warp_blocks(std::int64_t rows) {
    return static_cast<unsigned>(divide_up(rows, norm_threads / cpu::lanes));
  }
  std::byte* here_or_host(const Buffer& buffer, std::size_t offset, std::size_t bytes) const {
    if (buffer.device() == Device{}) return cpu::part(buffer, offset, bytes);
    return operands_.part(buffer, offset, bytes);
  }

  // --- The queue ---------------------------------------------------------------------------------

  bool interrupted() {
    if (interrupt_ != nullptr && interrupt_->load()) complete_ = false;
    return !complete_;
  }
  void synchronise() { runtime_->wait(runtime_->record()); }

  template <class Arguments>
  void launch(const Kernel<Arguments>& kernel, Grid grid, const Arguments& arguments,
              unsigned threads = plain_threads) {
    if (grid.x == 0 || grid.y == 0 || interrupted()) return;
    runtime_->launch(kernel, grid, threads, arguments);
  }
  template <class Arguments>
  void plain(const Kernel<Arguments>& kernel, std::int64_t values, const Arguments& arguments) {
    launch(kernel, {plain_blocks(values)}, arguments);
  }
  void norm(const Kernel<Norm>& kernel, const Norm& arguments) {
    launch(kernel, {warp_blocks(arguments.rows * arguments.groups)}, arguments, norm_threads);
  }
  void elementwise(const Kernel<Elementwise>& kernel, Slice a, Slice b, Slice out) {
    require(a.size() == out.size() && b.size() == out.size(),
            "an elementwise operation needs operands of one size");
    const char* const what = "an elementwise operation";
    plain(kernel, count(out),
          Elementwise{operands_.at(what, a, count(a)), operands_.at(what, b, count(b)),
                      operands_.at(what, out, count(out)), count(out)});
  }
  // run(rows) for as many indices at a time as a kernel's parameters take, copied into `some`.
  template <class Run>
  static void by_indices(std::span<const std::int32_t> all, Indices& some, const Run& run) {
    while (!all.empty()) {
      const std::size_t rows = std::min<std::size_t>(all.size(), Indices::max);
      std::copy_n(all.begin(), rows, some.index);
      run(static_cast<unsigned>(rows));
      all = all.subspan(rows);
    }
  }
  template <class Advance>
  void move_rows(const Kernel<MoveRows>& kernel, std::span<const std::int32_t> rows, MoveRows& a,
                 const Advance& advance) {
    by_indices(rows, a.rows, [&](unsigned some) {
      launch(kernel, {plain_blocks(a.dim), some}, a);
      advance(std::int64_t{some} * a.dim);
    });
  }

  // After a wait, without another one.
  void report_unfit() {
    if (unfit_known_ == 0 || !runtime_->passed(unfit_known_)) return;
    unfit_known_ = 0;
    std::uint32_t unfit = 0;
    std::memcpy(&unfit, Access::data(unfit_seen_), sizeof unfit);
    if (unfit == 0) return;
    unfit = 0;
    staging_.upload(Access::data(unfit_), std::as_bytes(std::span(&unfit, 1)));
    throw Error(cpu::unfit_for_f16);
  }

  const std::unique_ptr<Runtime> runtime_;
  const Kernels& kernels_;
  const Device device_;
  const Operands operands_;
  Staging staging_;
  AttentionLauncher attention_;
  const Buffer unfit_;             // a word that kv_append sets
  const Buffer unfit_seen_;        // the host's copy of it,
  std::uint64_t unfit_known_ = 0;  // valid from this mark on; 0: nothing is new in it
  Buffer picks_;
  const std::atomic<bool>* interrupt_ = nullptr;
  bool complete_ = true;  // whether everything ran since begin
};

}  // namespace

std::unique_ptr<Backend> make_backend(std::unique_ptr<Runtime> runtime, const Kernels& kernels) {
  return std::make_unique<Cuda>(std::move(runtime), kernels);
}

}  // namespace hearth::kernels::cuda
