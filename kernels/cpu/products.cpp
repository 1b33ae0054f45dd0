// Groups, packs and divides GEMVs for the pool.
#include "kernels/cpu/products.hpp"

#include <algorithm>

#include "kernels/cpu/operands.hpp"
#include "kernels/host_memory.hpp"

namespace hearth::kernels::cpu {
namespace {

// Activation rows of one piece of a product: few enough to stay in a core's cache.
constexpr std::int64_t product_rows = 64;
// Bytes of weights of a piece, about 10 µs of reading.
constexpr std::int64_t piece_bytes = 128 << 10;
// Weight rows of a piece come in whole multiples of this, so that threads do not share the lines of
// cache that holds their results.
constexpr std::int64_t row_unit = 16;

}  // namespace

void Products::gemv(std::span<const MatMul> products) {
  activations_.clear();
  jobs_.clear();
  for (const MatMul& m : products) {
    const Format of = format(m.w.type());
    const float* const x = at("matmul: x", m.x, m.rows * m.w.cols());
    Product whole{.weights = weights(m.w),
                  .first = 0,
                  .last = m.w.rows(),
                  .x_stride = packed_stride(m.w.cols()),
                  .y = at("matmul: y", m.y, m.rows * m.w.rows()),
                  .y_stride = m.w.rows(),
                  .rows = m.rows};
    if (m.rows == 0) continue;
    jobs_.push_back(
        {.whole = whole,
         .run = table_.product[of],
         .size = static_cast<std::int64_t>(size_of(m.w.type())),
         .activations = index_of({x, m.rows, m.w.cols(), table_.pack_activations[of]})});
  }
  if (jobs_.empty() || pool_.poll()) return;
  pack_all();
  const auto* const packed = reinterpret_cast<const float*>(Access::data(packed_));
  for (Job& job : jobs_) job.whole.x = packed + activations_[job.activations].offset;
  pool_.run(cut(), [this](std::int64_t piece) { run(piece); });
}

// The index of these activations; products of a group often share them.
std::int64_t Products::index_of(const Activations& wanted) {
  const auto found = std::find(activations_.begin(), activations_.end(), wanted);
  const std::int64_t index = found - activations_.begin();
  if (found == activations_.end()) activations_.push_back(wanted);
  return index;
}

void Products::pack_all() {
  std::int64_t size = 0;
  for (Activations& a : activations_) {
    a.offset = size;
    size += a.rows * packed_stride(a.cols);
  }
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(float);
  if (packed_.bytes() < bytes) packed_ = allocate_host(bytes);
  auto* const to = reinterpret_cast<float*>(Access::data(packed_));
  for (const Activations& a : activations_) {
    const std::int64_t per_piece = share(a.rows, a.cols, piece_work_, pool_.threads());
    pool_.run(divide_up(a.rows, per_piece), [&](std::int64_t piece) {
      const std::int64_t end = std::min(a.rows, (piece + 1) * per_piece);
      for (std::int64_t r = piece * per_piece; r < end; ++r)
        a.pack_activations(a.x + r * a.cols, to + a.offset + r * packed_stride(a.cols), a.cols);
    });
  }
}

// Cuts every job into pieces of at most piece_work_ and about piece_bytes, numbered in the order of
// the group. How many there are in all.
std::int64_t Products::cut() {
  std::int64_t work = 0;
  for (const Job& job : jobs_) work += job.whole.rows * job.whole.last * job.whole.weights.cols;
  const std::int64_t max = share(work, 1, piece_work_, pool_.threads());
  std::int64_t pieces = 0;
  for (Job& job : jobs_) {
    const std::int64_t cols = job.whole.weights.cols;
    job.blocks = divide_up(job.whole.rows, product_rows);
    job.block_rows = divide_up(job.whole.rows, job.blocks);
    std::int64_t fit = std::min(max / (job.block_rows * cols), piece_bytes / (job.size * cols));
    if (fit > row_unit) fit = fit / row_unit * row_unit;
    job.weight_rows = std::clamp<std::int64_t>(fit, 1, job.whole.last);
    job.first_piece = pieces;
    pieces += divide_up(job.whole.last, job.weight_rows) * job.blocks;
  }
  return pieces;
}

void Products::run(std::int64_t piece) const {
  const auto after = std::upper_bound(
      jobs_.begin(), jobs_.end(), piece,
      [](std::int64_t number, const Job& job) { return number < job.first_piece; });
  const Job& job = *(after - 1);
  const std::int64_t number = piece - job.first_piece;
  const std::int64_t row = number % job.blocks * job.block_rows;
  Product p = job.whole;
  p.first = number / job.blocks * job.weight_rows;  // neighbours share the weights
  p.last = std::min(p.last, p.first + job.weight_rows);
  p.x += row * p.x_stride;
  p.y += row * p.y_stride;
  p.rows = std::min(job.block_rows, p.rows - row);
  job.run(p);
}

}  // namespace hearth::kernels::cpu
