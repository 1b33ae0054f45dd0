// What the tests of the GEMMs multiply.
#pragma once

#include <cmath>

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {

struct GemmShape {
  std::int64_t rows, cols;
  int activations;
};

constexpr GemmShape awkward_shapes[] = {
    {1, 1, 1},    {3, 31, 2},    {15, 32, 3},  {16, 33, 4},    {17, 127, 5},
    {63, 128, 6}, {64, 129, 7},  {65, 255, 8}, {129, 256, 11}, {130, 300, 12},
    {7, 511, 13}, {200, 64, 25}, {5, 40, 70},  {67, 1024, 1},  {70, 130, 300}};

// A weight matrix and activations for it.
struct GemmCase {
  GemmCase(DType weight_type, std::int64_t weight_rows, std::int64_t width, int activation_rows,
           std::uint32_t seed = 1, ScaleForm form_of_scales = ScaleForm::blocks)
      : type(weight_type),
        rows(weight_rows),
        cols(width),
        activations(activation_rows),
        scale_form(form_of_scales),
        codes(made_up_codes(type, rows * cols, seed)),
        x(made_up(activations * cols, 1, seed + 1)) {
    if (type == DType::f8_e4m3)
      scales = made_up(scale_count(scale_form, rows, cols), 0.05f, seed + 2);
  }

  double weight(std::int64_t row, std::int64_t col) const {
    return decoded(type, codes, row * cols + col) * scale(row, col);
  }
  double scale(std::int64_t row, std::int64_t col) const {
    if (type != DType::f8_e4m3) return 1;
    return double{scales[scale_index(scale_form, cols, row, col)]};
  }

  // The rows [first, first + count) of x alone.
  Values product(TestDevice& d, int first, int count) const {
    const auto width = static_cast<std::size_t>(cols);
    const Slice y = d.room(count * rows);
    d->matmul(d.matrix(type, rows, cols, codes, scales, scale_form),
              d.put(x).sub(static_cast<std::size_t>(first) * width,
                           static_cast<std::size_t>(count) * width),
              y, count, ProductForm::gemm);
    return d.get(y);
  }
  Values product(TestDevice& d) const { return product(d, 0, activations); }

  // In double; with `magnitudes`, of the absolute values.
  Exact exact(bool magnitudes = false) const {
    Exact result;
    for (int r = 0; r < activations; ++r)
      for (std::int64_t row = 0; row < rows; ++row) {
        double sum = 0;
        for (std::int64_t c = 0; c < cols; ++c) {
          const double term = weight(row, c) * double{x[static_cast<std::size_t>(r * cols + c)]};
          sum += magnitudes ? std::abs(term) : term;
        }
        result.push_back(sum);
      }
    return result;
  }

  DType type;
  std::int64_t rows;
  std::int64_t cols;
  int activations;
  ScaleForm scale_form;
  std::vector<std::byte> codes;
  Values x;
  Values scales;
};

// One code of F8 a row, times one: the sums are the values themselves.
inline void check_every_code(Values (&run)(const Computation&)) {
  GemmCase operands(DType::f8_e4m3, 256, 1, 1);
  for (int code = 0; code < 256; ++code)
    operands.codes[static_cast<std::size_t>(code)] = static_cast<std::byte>(code);
  operands.scales = {1, 1};
  operands.x = {1};
  const Values y = run([&](TestDevice& d) { return operands.product(d); });
  for (int code = 0; code < 256; ++code) {
    const double value = decoded(DType::f8_e4m3, operands.codes, code);
    if (std::isnan(value))
      CHECK(std::isnan(y[static_cast<std::size_t>(code)]));
    else
      CHECK(double{y[static_cast<std::size_t>(code)]} == value);
  }
}

}  // namespace hearth::kernels::test
