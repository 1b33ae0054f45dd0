// Groups, packs and divides GEMMs for the pool.
#include "kernels/cpu/gemm/products.hpp"

#include <algorithm>

#include "kernels/cpu/operands.hpp"
#include "kernels/host_memory.hpp"

namespace hearth::kernels::cpu {
namespace {

// Packed activations at once: what a last-level cache holds.
constexpr std::size_t scratch_bytes = std::size_t{8} << 20;
// Multiply-adds that are worth handing to another thread.
constexpr std::int64_t min_work = 1 << 20;
// Rows that make good use of an unpacked panel: a piece is not cut below them.
constexpr std::int64_t good_rows = 48;
// Bytes to pack that are worth waking another thread for.
constexpr std::size_t inline_bytes = 64 << 10;

std::int64_t blocks(std::int64_t columns) {
  return divide_up(columns, gemm_columns);
}

// Bytes of one block of columns of so many rows.
std::int64_t block_bytes(const PackedRows& packed, std::int64_t rows) {
  return divide_up(rows, packed.group) * packed.group * packed.bytes;
}

// The item that number n belongs to, where every item knows its first number.
template <class Item>
const Item& holding(const std::vector<Item>& items, std::int64_t Item::*first, std::int64_t n) {
  const auto after = std::upper_bound(
      items.begin(), items.end(), n,
      [first](std::int64_t number, const Item& item) { return number < item.*first; });
  return *(after - 1);
}

}  // namespace

void Gemm::run(std::span<const MatMul> products) {
  forget();  // what a call that ended with an Error left
  for (const MatMul& m : products) {
    require(m.rows >= 0, "matmul: a negative number of rows");
    const std::int64_t columns = m.w.cols();
    const GemmArguments whole{.weights = weights(m.w),
                              .first = 0,
                              .last = m.w.rows(),
                              .y = at("matmul: y", m.y, m.rows * m.w.rows()),
                              .y_stride = m.w.rows(),
                              .rows = m.rows};
    const float* const x = at("matmul: x", m.x, m.rows * columns);
    // As many rows at a time as the scratch memory holds, or a little less: about equally many each
    // time.
    const PackedRows& packed = table_.packed[format(m.w.type())];
    const std::int64_t group_bytes = blocks(columns) * block_bytes(packed, 1);
    const std::int64_t max =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(scratch_bytes) / group_bytes);
    const std::int64_t groups = divide_up(m.rows, packed.group);
    const std::int64_t times = std::max<std::int64_t>(1, divide_up(groups, max));
    const std::int64_t step = std::max<std::int64_t>(1, divide_up(groups, times)) * packed.group;
    for (std::int64_t row = 0; row < m.rows; row += step) {
      GemmArguments some = whole;
      some.rows = std::min(step, m.rows - row);
      some.y += row * some.y_stride;
      add(some, format(m.w.type()), x + row * columns);
    }
  }
  flush();
}

void Gemm::add(const GemmArguments& product, Format format, const float* x) {
  const std::int64_t columns = product.weights.cols;
  const auto same = std::find_if(packed_.begin(), packed_.end(), [&](const Packed& p) {
    return p.x == x && p.rows == product.rows && p.columns == columns &&
           table_.pack[p.format] == table_.pack[format];
  });
  auto index = static_cast<std::size_t>(same - packed_.begin());
  if (same == packed_.end()) {
    const auto bytes = static_cast<std::size_t>(blocks(columns) *
                                                block_bytes(table_.packed[format], product.rows));
    if (used_ + bytes > scratch_bytes) flush();
    index = packed_.size();
    packed_.push_back(
        {.x = x, .rows = product.rows, .columns = columns, .format = format, .offset = used_});
    used_ += bytes;
  }
  jobs_.push_back({.whole = product, .format = format, .packed = index});
}

void Gemm::flush() {
  if (scratch_.bytes() < used_) scratch_ = allocate_host(used_);
  std::int64_t units = 0;
  for (Packed& p : packed_) {
    p.first_unit = units;
    units += blocks(p.columns);
  }
  std::int64_t work = 0;
  for (const Job& job : jobs_) work += job.whole.rows * job.whole.last * job.whole.weights.cols;
  const std::int64_t target = std::clamp(work / (8 * std::int64_t{pool_.threads()}),
                                         std::min(min_work, table_.piece_work), table_.piece_work);
  std::int64_t pieces = 0;
  for (Job& job : jobs_) {
    GemmArguments& p = job.whole;
    const PackedRows& packed = table_.packed[job.format];
    p.x = Access::data(scratch_) + packed_[job.packed].offset;
    p.x_stride = block_bytes(packed, p.rows);
    const std::int64_t row_work = panel_rows * p.weights.cols;  // of one panel
    const std::int64_t max_rows =
        std::min({std::int64_t{gemm_rows}, std::max(good_rows, target / row_work),
                  std::max<std::int64_t>(1, table_.piece_work / row_work)});
    const std::int64_t groups = divide_up(p.rows, packed.group);
    job.parts = divide_up(groups, divide_up(max_rows, packed.group));
    const std::int64_t panels = target / (divide_up(groups, job.parts) * packed.group * row_work);
    job.piece_weights =
        std::clamp<std::int64_t>(panels, 1, divide_up(p.last, panel_rows)) * panel_rows;
    job.first_piece = pieces;
    pieces += job.parts * divide_up(p.last, job.piece_weights);
  }

  if (used_ <= inline_bytes) {
    for (std::int64_t unit = 0; unit < units && !pool_.poll(); ++unit) pack(unit);
  } else {
    pool_.run(units, [this](std::int64_t unit) { pack(unit); });
  }
  pool_.run(pieces, [this](std::int64_t piece) { multiply(piece); });
  forget();
}

void Gemm::forget() {
  packed_.clear();
  jobs_.clear();
  used_ = 0;
}

void Gemm::pack(std::int64_t unit) const {
  const Packed& p = holding(packed_, &Packed::first_unit, unit);
  const std::int64_t block = unit - p.first_unit;
  const std::int64_t column = block * gemm_columns;
  table_.pack[p.format]({.x = p.x + column,
                         .x_stride = p.columns,
                         .rows = p.rows,
                         .columns = std::min<std::int64_t>(gemm_columns, p.columns - column),
                         .to = Access::data(scratch_) + p.offset +
                               block * block_bytes(table_.packed[p.format], p.rows)});
}

void Gemm::multiply(std::int64_t piece) const {
  const Job& job = holding(jobs_, &Job::first_piece, piece);
  const std::int64_t index = piece - job.first_piece;
  const std::int64_t part = index % job.parts;
  const PackedRows& packed = table_.packed[job.format];
  const std::int64_t groups = divide_up(job.whole.rows, packed.group);
  const auto begin = [&](std::int64_t of) { return of * groups / job.parts * packed.group; };
  const std::int64_t row = begin(part);
  GemmArguments p = job.whole;
  p.first = index / job.parts * job.piece_weights;
  p.last = std::min(job.whole.last, p.first + job.piece_weights);
  p.rows = std::min(job.whole.rows, begin(part + 1)) - row;
  p.x += row * packed.bytes;
  p.y += row * p.y_stride;
  table_.product[job.format](p);
}

}  // namespace hearth::kernels::cpu
