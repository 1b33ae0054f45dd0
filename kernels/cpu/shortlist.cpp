// Makes a shortlist and finds the largest products with it. Bounds are computed in double and
// rounded away from the value; double's own errors are covered by `slack`, which is far larger.
#include "kernels/cpu/shortlist.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "kernels/cpu/operands.hpp"
#include "kernels/host_memory.hpp"

namespace hearth::kernels::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
// Relative. Sums of up to 2^16 doubles err by less than 1e-11, single values by less than 1e-15.
constexpr double slack = 1e-9;
constexpr double value_slack = 1e-14;
// Above this a norm might let a sum in F32 overflow: 448 times the square of it does not.
constexpr double norm_limit = 0x1p54;
constexpr std::int64_t cols_limit = 65536;
// Bytes of codes of a piece.
constexpr std::int64_t piece_bytes = 256 << 10;
// Rows multiplied exactly in one piece.
constexpr std::int64_t exact_rows = 16;

struct Bound {
  float scale = 0;  // s
  float rest = 0;   // |w - s·q|, rounded up; infinite: the row is always multiplied exactly
  float norm = 0;   // |w|, rounded up
  float floor = 0;  // what gradual underflow can cost
};

std::int64_t padded(std::int64_t cols) {
  return divide_up(cols, shortlist_unit) * shortlist_unit;
}

std::int64_t piece_rows(std::int64_t cols) {
  return std::max<std::int64_t>(1, piece_bytes / padded(cols));
}

float up(double value) {
  const auto nearest = static_cast<float>(value);
  return nearest < value ? std::nextafter(nearest, infinity) : nearest;
}

// Writes a row's codes and returns its bound. `w` are the exact weights.
Bound quantise(std::span<const double> w, double largest_scale, std::int8_t* codes) {
  double largest = 0, squares = 0;
  for (const double value : w) {
    largest = std::max(largest, std::abs(value));
    squares += value * value;  // NaN stays
  }
  const double norm = std::sqrt(squares) * (1 + slack);
  if (!(norm < norm_limit) || !(largest_scale < norm_limit)) return {.rest = infinity};
  const auto scale = static_cast<float>(largest / 127);
  double rest = 0;
  for (std::size_t c = 0; c < w.size(); ++c) {
    const double code = scale > 0 ? std::clamp(std::round(w[c] / scale), -127.0, 127.0) : 0;
    const double error = w[c] - code * scale;
    rest += error * error;
    codes[c] = static_cast<std::int8_t>(code);
  }
  // Each of the roundings loses at most half of 2^-149, some before the scale multiplies it.
  const double floor = static_cast<double>(w.size() + 64) * 0x1p-149 * (1 + largest_scale);
  return {.scale = scale,
          .rest = up(std::sqrt(rest) * (1 + slack)),
          .norm = up(norm),
          .floor = up(floor)};
}

// γ of shortlist.hpp. A lane adds cols/32 products, by blocks of 128 columns with a scale one more
// each, and is folded five times.
double rounding(std::int64_t cols) {
  const double roundings =
      static_cast<double>(divide_up(cols, lanes) + divide_up(cols, scale_block) + 8);
  return roundings * 0x1p-24 / (1 - roundings * 0x1p-24);
}

}  // namespace

Shortlist ShortlistSearch::make(const Matrix& w) {
  const Weights all = weights(w);
  require(all.cols <= cols_limit, "make_shortlist: a matrix of " + std::to_string(all.cols) +
                                      " columns; at most 65536 can have a shortlist");
  const std::int64_t cols = padded(all.cols);
  Shortlist result{.codes = allocate_host(static_cast<std::size_t>(w.rows() * cols)),
                   .bounds = allocate_host(static_cast<std::size_t>(w.rows()) * sizeof(Bound)),
                   .rows = w.rows(),
                   .cols = w.cols()};
  auto* const codes = reinterpret_cast<std::int8_t*>(Access::data(result.codes));
  const auto row_bytes = all.stride * static_cast<std::int64_t>(size_of(w.type()));
  const bool scaled = w.type() == DType::f8_e4m3;
  constexpr std::int64_t rows = 16;
  pool_.run(divide_up(w.rows(), rows), [&](std::int64_t piece) {
    std::vector<float> widened(static_cast<std::size_t>(all.cols));
    std::vector<double> exact(widened.size());
    for (std::int64_t r = piece * rows; r < std::min(w.rows(), (piece + 1) * rows); ++r) {
      table_.widen[format(w.type())](static_cast<const std::byte*>(all.data) + r * row_bytes,
                                     widened.data(), all.cols);
      const float* const scales = scaled ? row_scales(all, r) : nullptr;
      double largest_scale = 0;
      for (std::size_t c = 0; c < exact.size(); ++c) {
        const double scale =
            scaled ? scales[c / scale_block * static_cast<std::size_t>(all.scale_step)] : 1.0;
        exact[c] = widened[c] * scale;
        largest_scale = std::max(largest_scale, std::abs(scale));
      }
      std::int8_t* const to = codes + r * cols;
      std::fill(to, to + cols, std::int8_t{0});
      const Bound bound = quantise(exact, largest_scale, to);
      std::memcpy(Access::data(result.bounds) + static_cast<std::size_t>(r) * sizeof bound, &bound,
                  sizeof bound);
    }
  });
  if (pool_.stopped()) return {};
  return result;
}

void ShortlistSearch::top(const Shortlist& shortlist, const Matrix& w, Slice x, int rows, int k,
                          std::span<const std::int32_t> always, std::span<Candidates> out) {
  require(shortlist.rows == w.rows() && shortlist.cols == w.cols(),
          "shortlist_top: the shortlist is that of another matrix");
  require(k >= 0 && out.size() == static_cast<std::size_t>(rows),
          "shortlist_top: room for the candidates of every row is needed");
  const float* const from = at("shortlist_top: x", x, rows * w.cols());
  require_indices("shortlist_top", always, w.rows());
  for (Candidates& candidates : out) candidates = {};
  if (rows == 0 || pool_.poll()) return;

  const std::int64_t cols = padded(w.cols());
  const std::int64_t pieces = divide_up(w.rows(), piece_rows(w.cols()));
  activations_.resize(static_cast<std::size_t>(rows));
  copies_.assign(static_cast<std::size_t>(rows * cols), 0);
  upper_.resize(static_cast<std::size_t>(rows * w.rows()));
  // The k-th largest of some of the values is no larger than that of all; the largest few of every
  // piece hardly leave one of the k out.
  const std::int64_t kept = std::min<std::int64_t>(
      {k, piece_rows(w.cols()), std::max<std::int64_t>(4, divide_up(4 * std::int64_t{k}, pieces))});
  lower_.assign(static_cast<std::size_t>(rows * pieces * kept), -infinity);
  for (int r = 0; r < rows; ++r)
    activations_[static_cast<std::size_t>(r)] =
        copy(from + r * w.cols(), w.cols(), copies_.data() + r * cols);
  pool_.run(pieces, [&](std::int64_t piece) { judge(shortlist, piece, rows, kept); });
  for (int r = 0; r < rows && !pool_.stopped(); ++r) {
    Candidates& result = out[static_cast<std::size_t>(r)];
    choose(shortlist, r, k, always, result.ids);
    multiply(w, from + r * w.cols(), result);
  }
  if (pool_.stopped())
    for (Candidates& candidates : out) candidates = {};
}

// x as t·a with |a| ≤ 32767.
ShortlistSearch::Activations ShortlistSearch::copy(const float* x, std::int64_t cols,
                                                   std::int16_t* to) {
  constexpr double limit = 32767;
  double largest = 0, squares = 0;
  for (std::int64_t c = 0; c < cols; ++c) {
    largest = std::max(largest, std::abs(double{x[c]}));
    squares += double{x[c]} * x[c];
  }
  Activations result;
  result.norm = std::sqrt(squares) * (1 + slack);
  result.bounded = result.norm < norm_limit;  // not for NaN
  if (!result.bounded || largest == 0) return result;
  result.scale = largest / limit;
  double rest = 0;
  for (std::int64_t c = 0; c < cols; ++c) {
    const double a = std::clamp(std::round(x[c] / result.scale), -limit, limit);
    const double error = x[c] - a * result.scale;
    rest += error * error;
    to[c] = static_cast<std::int16_t>(a);
  }
  result.rest = std::sqrt(rest) * (1 + slack) + largest * slack;
  return result;
}

// What the values of a piece's rows are at most, and the `kept` largest of what they are at least.
void ShortlistSearch::judge(const Shortlist& shortlist, std::int64_t piece, int rows,
                            std::int64_t kept) {
  const std::int64_t per_piece = piece_rows(shortlist.cols);
  const std::int64_t pieces = divide_up(shortlist.rows, per_piece);
  const std::int64_t first = piece * per_piece;
  const std::int64_t last = std::min(shortlist.rows, first + per_piece);
  const auto* const bounds = reinterpret_cast<const Bound*>(Access::data(shortlist.bounds));
  std::vector<std::int64_t> sums(static_cast<std::size_t>((last - first) * rows));
  table_.shortlist({.codes = reinterpret_cast<const std::int8_t*>(Access::data(shortlist.codes)),
                    .cols = padded(shortlist.cols),
                    .first = first,
                    .last = last,
                    .x = copies_.data(),
                    .count = rows,
                    .sums = sums.data()});
  const double gamma = rounding(shortlist.cols);
  // The margins below are wide enough for the rounding of their ends to F32: 2^-22 of the value and
  // of themselves covers 2^-24 of the ends, the floor what is lost below the normal numbers.
  std::vector<float> lower(static_cast<std::size_t>(last - first));
  for (int r = 0; r < rows; ++r) {
    const Activations& x = activations_[static_cast<std::size_t>(r)];
    float* const upper = upper_.data() + r * shortlist.rows;
    for (std::int64_t w = first; w < last; ++w) {
      const Bound& bound = bounds[w];
      const auto sum = static_cast<double>(sums[static_cast<std::size_t>((w - first) * rows + r)]);
      const double value = bound.scale * (x.scale * sum);
      const double copy = double{bound.norm} + bound.rest;  // ≥ |s·q|
      const double error = bound.rest * x.norm + copy * x.rest + gamma * bound.norm * x.norm +
                           value_slack * copy * (x.norm + x.rest);
      const double margin = (error + std::abs(value) * 0x1p-22) * (1 + 0x1p-22) + bound.floor;
      const bool bounded = x.bounded && bound.rest < infinity;
      upper[w] = bounded ? static_cast<float>(value + margin) : infinity;
      lower[static_cast<std::size_t>(w - first)] =
          bounded ? static_cast<float>(value - margin) : -infinity;
    }
    const auto to = lower_.begin() + (r * pieces + piece) * kept;
    std::partial_sort_copy(lower.begin(), lower.end(), to,
                           to + std::min<std::int64_t>(kept, last - first), std::greater<>());
  }
}

// The rows whose value at most reaches the k-th largest of the values at least.
void ShortlistSearch::choose(const Shortlist& shortlist, int row, int k,
                             std::span<const std::int32_t> always, std::vector<std::int32_t>& ids) {
  const float* const upper = upper_.data() + row * shortlist.rows;
  const std::size_t size = lower_.size() / activations_.size();
  float* const lower = lower_.data() + static_cast<std::size_t>(row) * size;
  float threshold = k > 0 ? -infinity : std::numeric_limits<float>::quiet_NaN();
  if (k > 0 && static_cast<std::size_t>(k) <= size) {
    std::nth_element(lower, lower + k - 1, lower + size, std::greater<>());
    threshold = lower[k - 1];
  }
  for (std::int64_t w = 0; w < shortlist.rows; ++w)
    if (upper[w] >= threshold) ids.push_back(static_cast<std::int32_t>(w));
  ids.insert(ids.end(), always.begin(), always.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

void ShortlistSearch::multiply(const Matrix& w, const float* x, Candidates& result) {
  const Format of = format(w.type());
  const Weights all = weights(w);
  const auto row_bytes = all.stride * static_cast<std::int64_t>(size_of(w.type()));
  packed_.resize(static_cast<std::size_t>(packed_size(all.cols)));
  table_.pack_activations[of](x, packed_.data(), all.cols);
  const auto count = static_cast<std::int64_t>(result.ids.size());
  result.scores.assign(result.ids.size(), 0.0f);
  pool_.run(divide_up(count, exact_rows), [&](std::int64_t piece) {
    for (std::int64_t i = piece * exact_rows; i < std::min(count, (piece + 1) * exact_rows); ++i) {
      const std::int64_t row = result.ids[static_cast<std::size_t>(i)];
      Weights one = all;
      one.data = static_cast<const std::byte*>(all.data) + row * row_bytes;
      if (all.scales != nullptr) one.scales = row_scales(all, row);
      table_.product[of]({.weights = one,
                          .first = 0,
                          .last = 1,
                          .x = packed_.data(),
                          .x_stride = packed_size(all.cols),
                          .y = &result.scores[static_cast<std::size_t>(i)],
                          .y_stride = 1,
                          .rows = 1});
    }
  });
}

}  // namespace hearth::kernels::cpu

namespace hearth::kernels {

std::size_t Backend::shortlist_bytes(std::int64_t rows, std::int64_t cols) {
  const std::int64_t row = cpu::divide_up(cols, cpu::shortlist_unit) * cpu::shortlist_unit;
  return static_cast<std::size_t>(rows) * (static_cast<std::size_t>(row) + sizeof(cpu::Bound));
}

}  // namespace hearth::kernels
