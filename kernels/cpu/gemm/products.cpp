// See blocked_products.hpp.
#include "kernels/cpu/blocked_products.hpp"

#include <algorithm>

#include "kernels/cpu/operands.hpp"
#include "kernels/host_memory.hpp"

namespace hearth::kernels::cpu {
namespace {

// Packed activations at once: what a last-level cache holds.
constexpr std::size_t scratch_bytes = std::size_t{8} << 20;
// Multiply-adds that are worth handing to another thread.
constexpr std::int64_t least_work = 1 << 20;
// Rows that make good use of an unpacked panel: a piece is not cut below them.
constexpr std::int64_t good_rows = 48;
// Bytes to pack that are worth waking another thread for.
constexpr std::size_t inline_bytes = 64 << 10;

std::int64_t blocks(std::int64_t columns) {
  return divide_up(columns, blocked_columns);
}

std::size_t packed_size(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(rows * blocks(columns) * packed_bytes);
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

void BlockedProducts::run(std::span<const MatMul> products) {
  forget();  // what a call that ended with an Error left
  for (const MatMul& m : products) {
    require(m.rows >= 0, "matmul: a negative number of rows");
    const std::int64_t columns = m.w.cols();
    const BlockedProduct whole{.weights = weights(m.w),
                               .first = 0,
                               .last = m.w.rows(),
                               .y = at("matmul: y", m.y, m.rows * m.w.rows()),
                               .y_stride = m.w.rows(),
                               .rows = m.rows};
    const float* const x = at("matmul: x", m.x, m.rows * columns);
    // As many rows at a time as the scratch memory holds.
    const auto row_bytes = static_cast<std::int64_t>(packed_size(1, columns));
    const std::int64_t most =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(scratch_bytes) / row_bytes);
    for (std::int64_t row = 0; row < m.rows; row += most) {
      BlockedProduct some = whole;
      some.rows = std::min(most, m.rows - row);
      some.y += row * some.y_stride;
      add(some, format(m.w.type()), x + row * columns);
    }
  }
  flush();
}

void BlockedProducts::add(const BlockedProduct& product, Format format, const float* x) {
  const std::int64_t columns = product.weights.cols;
  const auto same = std::find_if(packed_.begin(), packed_.end(), [&](const Packed& p) {
    return p.x == x && p.rows == product.rows && p.columns == columns &&
           table_.pack[p.format] == table_.pack[format];
  });
  auto index = static_cast<std::size_t>(same - packed_.begin());
  if (same == packed_.end()) {
    const std::size_t bytes = packed_size(product.rows, columns);
    if (used_ + bytes > scratch_bytes) flush();
    index = packed_.size();
    packed_.push_back(
        {.x = x, .rows = product.rows, .columns = columns, .format = format, .offset = used_});
    used_ += bytes;
  }
  jobs_.push_back({.whole = product, .format = format, .packed = index});
}

void BlockedProducts::flush() {
  if (scratch_.bytes() < used_) scratch_ = allocate_host(used_);
  std::int64_t units = 0;
  for (Packed& p : packed_) {
    p.first_unit = units;
    units += blocks(p.columns);
  }
  std::int64_t work = 0;
  for (const Job& job : jobs_) work += job.whole.rows * job.whole.last * job.whole.weights.cols;
  const std::int64_t target =
      std::clamp(work / (8 * std::int64_t{pool_.threads()}), least_work, table_.piece_work);
  std::int64_t pieces = 0;
  for (Job& job : jobs_) {
    BlockedProduct& p = job.whole;
    p.x = Access::data(scratch_) + packed_[job.packed].offset;
    p.x_stride = p.rows * packed_bytes;
    const std::int64_t row_work = panel_rows * p.weights.cols;  // of one panel
    const std::int64_t most_rows =
        std::min({std::int64_t{blocked_rows}, std::max(good_rows, target / row_work),
                  std::max<std::int64_t>(1, table_.piece_work / row_work)});
    job.parts = divide_up(p.rows, most_rows);
    const std::int64_t panels = target / (divide_up(p.rows, job.parts) * row_work);
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

void BlockedProducts::forget() {
  packed_.clear();
  jobs_.clear();
  used_ = 0;
}

void BlockedProducts::pack(std::int64_t unit) const {
  const Packed& p = holding(packed_, &Packed::first_unit, unit);
  const std::int64_t block = unit - p.first_unit;
  const std::int64_t column = block * blocked_columns;
  table_.pack[p.format]({.x = p.x + column,
                         .x_stride = p.columns,
                         .rows = p.rows,
                         .columns = std::min<std::int64_t>(blocked_columns, p.columns - column),
                         .to = Access::data(scratch_) + p.offset + block * p.rows * packed_bytes});
}

void BlockedProducts::multiply(std::int64_t piece) const {
  const Job& job = holding(jobs_, &Job::first_piece, piece);
  const std::int64_t index = piece - job.first_piece;
  const std::int64_t part = index % job.parts;
  const std::int64_t row = part * job.whole.rows / job.parts;
  BlockedProduct p = job.whole;
  p.first = index / job.parts * job.piece_weights;
  p.last = std::min(job.whole.last, p.first + job.piece_weights);
  p.rows = (part + 1) * job.whole.rows / job.parts - row;
  p.x += row * packed_bytes;
  p.y += row * p.y_stride;
  table_.product[job.format](p);
}

}  // namespace hearth::kernels::cpu
