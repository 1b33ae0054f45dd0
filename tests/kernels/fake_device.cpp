// The fake device's memory, and its queue.
#include "tests/kernels/fake_device.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/access.hpp"

namespace hearth::kernels::test {
namespace {

// An address plus this is in no page, whatever the system.
constexpr std::uintptr_t bias = std::uintptr_t{1} << 62;

template <class T>
T* moved(T* address, std::uintptr_t by) {
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(address) + by);
}

// What free needs to know is before the bytes.
struct Header {
  FakeDeviceControl* control;
  std::size_t bytes;
};
constexpr std::size_t header_bytes = 64;
static_assert(sizeof(Header) <= header_bytes);

void free_on_device(std::byte* data) {
  if (data == nullptr) return;
  std::byte* const begin = moved(data, ~bias + 1) - header_bytes;
  Header header{};
  std::memcpy(&header, begin, sizeof header);
  header.control->bytes -= header.bytes;
  std::free(begin);
}

void keep(std::byte*) {}

class FakeDevice final : public Backend {
 public:
  FakeDevice(Device device, std::shared_ptr<FakeDeviceControl> control)
      : device_(device), control_(std::move(control)) {
    CpuChoice choice;
    cpu_ = open_cpu(1, std::nullopt, choice);
  }

  Device device() const override { return device_; }
  std::string description() const override { return name(device_) + ", a test's"; }
  int threads() const override { return 0; }
  std::string numerics() const override {
    return control_->numerics.empty() ? cpu_->numerics() : control_->numerics;
  }

  using Backend::allocate;
  Buffer allocate(std::size_t bytes, MemoryKind kind) override {
    if (kind == MemoryKind::page_locked) return cpu_->allocate(bytes);
    if (bytes > control_->capacity - std::min(control_->capacity, control_->bytes.load()))
      throw DeviceFull();
    constexpr std::size_t unit = 64;
    const std::size_t whole = header_bytes + (bytes + unit - 1) / unit * unit;
    auto* const begin = static_cast<std::byte*>(std::aligned_alloc(unit, whole));
    if (begin == nullptr) throw std::bad_alloc();
    std::memset(begin, 0, whole);
    const Header header{control_.get(), bytes};
    std::memcpy(begin, &header, sizeof header);
    control_->bytes += bytes;
    return Access::buffer(device_, moved(begin + header_bytes, bias), bytes, free_on_device);
  }
  void discard(const Buffer&, std::size_t, std::size_t) override {}
  void write(const Buffer& to, std::size_t byte_offset, std::span<const std::byte> from) override {
    synchronise(queued_);
    const Buffer there = host(to);
    cpu_->write(there, byte_offset, from);
  }
  void read(const Buffer& from, std::size_t byte_offset, std::span<std::byte> to) override {
    synchronise(queued_);
    const Buffer there = host(from);
    cpu_->read(there, byte_offset, to);
  }
  void copy(const Buffer& from, std::size_t from_offset, Buffer& to, std::size_t to_offset,
            std::size_t bytes) override {
    transfer(from, from_offset, to, to_offset, bytes);
  }
  void write(Slice to, std::span<const float> from) override {
    synchronise(queued_);
    cpu_->write(host(to), from);
  }
  void read(Slice from, std::span<float> to) override {
    synchronise(queued_);
    cpu_->read(host(from), to);
  }
  std::optional<std::span<std::byte>> map(const Buffer& buffer) override {
    if (buffer.device() != Device{}) return std::nullopt;
    return cpu_->map(buffer);
  }

  Event transfer(const Buffer& from, std::size_t from_offset, const Buffer& to,
                 std::size_t to_offset, std::size_t bytes) override {
    begin_transfer(from.device(), to.device());
    auto source = std::make_shared<Buffer>(here_or_host(from));
    auto target = std::make_shared<Buffer>(here_or_host(to));
    // A shape that does not fit is an error of whoever asks.
    if (from_offset > from.bytes() || bytes > from.bytes() - from_offset ||
        to_offset > to.bytes() || bytes > to.bytes() - to_offset)
      throw Error("transfer: outside a buffer");
    return queue([this, source, from_offset, target, to_offset, bytes] {
      cpu_->copy(*source, from_offset, *target, to_offset, bytes);
    });
  }
  Event transfer(Slice from, Slice to) override {
    begin_transfer(from.device(), to.device());
    const Slice source = here_or_host(from);
    const Slice target = here_or_host(to);
    if (source.size() != target.size()) throw Error("transfer: the windows differ in size");
    return queue([this, source, target] { cpu_->transfer(source, target); });
  }
  Event queued() override { return {queued_}; }
  // Nothing runs by itself here: that somebody looks makes it run, to be seen at the next look.
  bool passed(Event event) override {
    const bool before = event.number <= done_;
    run(event.number);
    return before;
  }
  void wait(Event event) override { synchronise(event.number); }

  void begin(const std::atomic<bool>* interrupt) override { interrupt_ = interrupt; }
  bool finish() override {
    try {
      synchronise(queued_);
    } catch (...) {
      interrupt_ = nullptr;
      complete_ = true;
      throw;
    }
    interrupt_ = nullptr;
    return std::exchange(complete_, true);
  }

  using Backend::matmul;
  void matmul(std::span<const MatMul> products, ProductForm form) override {
    std::vector<MatMul> all;
    for (const MatMul& product : products)
      all.push_back({host(product.w), host(product.x), host(product.y), product.rows});
    queue([this, all, form] {
      cpu_->matmul(all, form);
      control_->products += all.size();
    });
  }
  void silu_mul(Slice gate, Slice up, Slice out) override {
    queue([this, gate = host(gate), up = host(up), out = host(out)] {
      cpu_->silu_mul(gate, up, out);
    });
  }
  void gather_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) override {
    queue([this, x = host(x), dim, ids = std::vector(rows.begin(), rows.end()), out = host(out)] {
      cpu_->gather_rows(x, dim, ids, out);
    });
  }
  void scatter_rows(Slice x, int dim, std::span<const std::int32_t> rows, Slice out) override {
    queue([this, x = host(x), dim, ids = std::vector(rows.begin(), rows.end()), out = host(out)] {
      cpu_->scatter_rows(x, dim, ids, out);
    });
  }

  void rms_norm(Rows x, Slice weight, Rows out, int rows, int dim, float eps) override {
    queue([this, x = host(x), weight = host(weight), out = host(out), rows, dim, eps] {
      cpu_->rms_norm(x, weight, out, rows, dim, eps);
    });
  }
  void gated_rms_norm(Slice x, Slice z, Slice weight, Slice out, int rows, int dim,
                      float eps) override {
    queue([this, x = host(x), z = host(z), weight = host(weight), out = host(out), rows, dim, eps] {
      cpu_->gated_rms_norm(x, z, weight, out, rows, dim, eps);
    });
  }
  void l2_norm(Rows x, int rows, int groups, int dim, float scale) override {
    queue([this, x = host(x), rows, groups, dim, scale] {
      cpu_->l2_norm(x, rows, groups, dim, scale);
    });
  }
  void rope(Slice x, Slice cos, Slice sin, int rows, int heads, int head_dim, int half) override {
    queue([this, x = host(x), cos = host(cos), sin = host(sin), rows, heads, head_dim, half] {
      cpu_->rope(x, cos, sin, rows, heads, head_dim, half);
    });
  }
  void conv_silu(Slice x, Slice weight, Slice history_in, Slice history_out, Slice out, int rows,
                 int channels, int kernel) override {
    queue([this, x = host(x), weight = host(weight), in = host(history_in),
           after = host(history_out), out = host(out), rows, channels,
           kernel] { cpu_->conv_silu(x, weight, in, after, out, rows, channels, kernel); });
  }
  void delta_gates(Slice b, Slice a, Slice a_log, Slice dt_bias, Slice beta, Slice g, int rows,
                   int heads) override {
    queue([this, b = host(b), a = host(a), a_log = host(a_log), dt_bias = host(dt_bias),
           beta = host(beta), g = host(g), rows,
           heads] { cpu_->delta_gates(b, a, a_log, dt_bias, beta, g, rows, heads); });
  }
  void delta_rule(const DeltaRule& args, DeltaForm form) override {
    DeltaRule there = args;
    for (Rows* rows : {&there.q, &there.k, &there.v}) *rows = host(*rows);
    for (Slice* slice : {&there.g, &there.beta, &there.state_in, &there.state_out, &there.out})
      *slice = host(*slice);
    queue([this, there, form] { cpu_->delta_rule(there, form); });
  }
  void kv_append(KvCache& kv, Slice k, Slice v, std::int64_t position, int rows) override {
    queue([this, cache = host(kv), k = host(k), v = host(v), position, rows] {
      cpu_->kv_append(*cache, k, v, position, rows);
    });
  }
  void attention(const Attention& args, const KvCache& kv) override {
    Attention there = args;
    there.q = host(args.q);
    there.out = host(args.out);
    queue([this, there, cache = host(kv)] { cpu_->attention(there, *cache); });
  }
  void sigmoid_mul(Slice gate, Slice x, Slice out) override {
    queue([this, gate = host(gate), x = host(x), out = host(out)] {
      cpu_->sigmoid_mul(gate, x, out);
    });
  }
  void add(Slice x, Slice y, Slice out) override {
    queue([this, x = host(x), y = host(y), out = host(out)] { cpu_->add(x, y, out); });
  }
  void split_groups(Slice in, int rows, int groups, std::span<const SplitSpec> parts) override {
    std::vector<SplitSpec> there(parts.begin(), parts.end());
    for (SplitSpec& part : there) part.out = host(part.out);
    queue([this, in = host(in), rows, groups, there] {
      cpu_->split_groups(in, rows, groups, there);
    });
  }
  void combine_experts(Slice y, std::span<const float> weights, Slice shared, Slice shared_gate,
                       Slice residual, Slice out, int rows, int slots, int dim) override {
    queue([this, y = host(y), weights = std::vector(weights.begin(), weights.end()),
           shared = host(shared), gate = host(shared_gate), residual = host(residual),
           out = host(out), rows, slots, dim] {
      cpu_->combine_experts(y, weights, shared, gate, residual, out, rows, slots, dim);
    });
  }
  void softmax(Slice x, int rows, int dim) override {
    queue([this, x = host(x), rows, dim] { cpu_->softmax(x, rows, dim); });
  }
  void top_k(Slice x, int rows, int dim, int k, std::span<std::int32_t> ids,
             std::span<float> values) override {
    synchronise(queued_);
    cpu_->top_k(host(x), rows, dim, k, ids, values);
  }

  // What no layer needs.
  void embed(const Matrix&, std::span<const std::int32_t>, Slice) override { refuse(); }
  Shortlist make_shortlist(const Matrix&) override { refuse(); }
  void shortlist_top(const Shortlist&, const Matrix&, Slice, int, int,
                     std::span<const std::int32_t>, std::span<Candidates>) override {
    refuse();
  }

 private:
  [[noreturn]] void refuse() const {
    throw Error(name(device_) + ": a fake device has the operations of layers only");
  }

  // --- Handles -----------------------------------------------------------------------------------

  void require_here(Device device) const {
    if (device != device_) throw Error(name(device_) + " was given a handle of " + name(device));
  }
  // Windows of the host on this device's memory, which do not own it.
  Buffer host(const Buffer& buffer) const {
    require_here(buffer.device());
    return Access::buffer({}, moved(Access::data(buffer), ~bias + 1), buffer.bytes(), keep);
  }
  Slice host(Slice slice) const {
    if (slice.size() == 0) return {};
    require_here(slice.device());
    return Access::slice({}, moved(Access::data(slice), ~bias + 1), slice.size());
  }
  Rows host(const Rows& rows) const { return {host(rows.data), rows.stride}; }
  std::shared_ptr<KvCache> host(const KvCache& kv) const {
    return std::make_shared<KvCache>(
        KvCache{host(kv.keys), host(kv.values), kv.type, kv.capacity, kv.heads, kv.head_dim});
  }
  Matrix host(const Matrix& matrix) const {
    require_here(matrix.device());
    const auto bytes =
        static_cast<std::size_t>(matrix.rows() * matrix.cols()) * size_of(matrix.type());
    auto* const data = const_cast<std::byte*>(moved(Access::data(matrix), ~bias + 1));
    const Buffer all = Access::buffer({}, data, bytes, keep);
    return {all,
            0,
            matrix.type(),
            matrix.rows(),
            matrix.cols(),
            host(Access::scales(matrix)),
            Access::scale_form(matrix)};
  }
  Buffer here_or_host(const Buffer& buffer) const {
    if (buffer.device() != Device{}) return host(buffer);
    return Access::buffer({}, Access::data(buffer), buffer.bytes(), keep);
  }
  Slice here_or_host(Slice slice) const { return slice.device() == Device{} ? slice : host(slice); }

  // --- The queue ---------------------------------------------------------------------------------

  void begin_transfer(Device from, Device to) {
    if (control_->refuse_transfers) throw Error(name(device_) + ": a copy was refused");
    if (from != to) ++(to == device_ ? control_->to_device : control_->from_device);
  }
  Event queue(std::function<void()> operation) {
    queue_.push_back(std::move(operation));
    return {++queued_};
  }
  void synchronise(std::uint64_t until) {
    ++control_->synchronisations;
    run(until);
  }
  void run(std::uint64_t until) {
    if (control_->lost && done_ < until) {
      queue_.clear();
      lost_after_ = done_;
      done_ = queued_;
      lost_until_ = queued_;
    }
    if (until > lost_after_ && until <= lost_until_) throw Error(name(device_) + " was lost");
    if (done_ >= until) return;
    cpu_->begin(interrupt_);
    for (; done_ < until; ++done_) {
      queue_.front()();
      queue_.pop_front();
    }
    complete_ = cpu_->finish() && complete_;
  }

  const Device device_;
  const std::shared_ptr<FakeDeviceControl> control_;
  std::unique_ptr<Backend> cpu_;
  std::deque<std::function<void()>> queue_;
  std::uint64_t queued_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t lost_after_ = 0;  // what never ran
  std::uint64_t lost_until_ = 0;
  const std::atomic<bool>* interrupt_ = nullptr;
  bool complete_ = true;  // whether everything ran since begin
};

}  // namespace

std::unique_ptr<Backend> make_fake_device(Device device,
                                          std::shared_ptr<FakeDeviceControl> control) {
  return std::make_unique<FakeDevice>(device, std::move(control));
}

}  // namespace hearth::kernels::test
