// Products: the definition against sums in double, every ISA against the definition, a row against
// itself in company.
#include <cmath>

#include "support.hpp"

namespace hearth::kernels::test {
namespace {

constexpr DType types[] = {DType::f32, DType::f16, DType::bf16, DType::f8_e4m3};

struct Shape {
  std::int64_t rows;  // of the weights
  std::int64_t cols;
  int activations;
};

struct Operands {
  Operands(DType weight_type, Shape shape_of_all)
      : type(weight_type),
        shape(shape_of_all),
        codes(made_up_codes(type, shape.rows * shape.cols, 1)),
        x(made_up(shape.activations * shape.cols, 1, 2)) {
    const std::int64_t blocks = ((shape.rows + 127) / 128) * ((shape.cols + 127) / 128);
    if (type == DType::f8_e4m3) scales = made_up(blocks, 0.05f, 3);
  }

  double weight(std::int64_t row, std::int64_t col) const {
    const double value = decoded(type, codes, row * shape.cols + col);
    if (type != DType::f8_e4m3) return value;
    const std::int64_t block = row / 128 * ((shape.cols + 127) / 128) + col / 128;
    return value * double{scales[static_cast<std::size_t>(block)]};
  }

  // The rows [first, first + count) of x alone.
  Values product(Device& d, int first, int count) const {
    const Matrix w = d.matrix(type, shape.rows, shape.cols, codes, scales);
    const Slice all = d.put(x);
    const Slice y = d.room(count * shape.rows);
    const auto width = static_cast<std::size_t>(shape.cols);
    d->matmul(
        w,
        all.sub(static_cast<std::size_t>(first) * width, static_cast<std::size_t>(count) * width),
        y, count);
    return d.get(y);
  }
  Values product(Device& d) const { return product(d, 0, shape.activations); }

  DType type;
  Shape shape;
  std::vector<std::byte> codes;
  Values x;
  Values scales;
};

TEST_CASE("a product of any shape and format has the definition's bits on every ISA") {
  const Shape shapes[] = {{1, 1, 1},    {1, 31, 2},    {3, 32, 3},    {2, 33, 9},
                          {5, 127, 8},  {129, 128, 1}, {3, 129, 17},  {257, 300, 2},
                          {7, 257, 70}, {300, 1, 5},   {130, 385, 4}, {33, 1024, 16}};
  for (const Shape shape : shapes) {
    for (const DType type : types) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      CAPTURE(shape.activations);
      CAPTURE(static_cast<int>(type));
      const Operands operands(type, shape);
      const Values y = everywhere([&](Device& d) { return operands.product(d); });

      Exact expected;
      for (int r = 0; r < shape.activations; ++r)
        for (std::int64_t row = 0; row < shape.rows; ++row) {
          double sum = 0;
          for (std::int64_t c = 0; c < shape.cols; ++c)
            sum += operands.weight(row, c) *
                   double{operands.x[static_cast<std::size_t>(r * shape.cols + c)]};
          expected.push_back(sum);
        }
      const double size = type == DType::f8_e4m3 ? 100 : 1;
      CHECK(deviation(y, expected, 1e-5, 1e-6 * size * std::sqrt(double(shape.cols))) == "");
    }
  }
}

TEST_CASE("a product larger than the caches has the definition's bits") {
  const Operands operands(DType::f32, {2100, 4099, 1});
  everywhere([&](Device& d) { return operands.product(d); });
}

TEST_CASE("a row's bits are the same alone and beside others") {
  for (const DType type : types) {
    const Operands operands(type, {37, 300, 23});
    const Values together = best([&](Device& d) { return operands.product(d); });
    for (int r = 0; r < operands.shape.activations; ++r) {
      const Values alone = best([&](Device& d) { return operands.product(d, r, 1); });
      const auto begin = together.begin() + r * operands.shape.rows;
      CHECK(difference(alone, Values(begin, begin + operands.shape.rows)) == "");
    }
  }
}

TEST_CASE("lanes without an element keep a negative zero") {
  // Every product rounds to -0, and so does the sum, unless a tail adds +0 to the lanes beside it.
  const Values weights(33, 1e-30f), x(33, -1e-30f);
  const Values y = everywhere([&](Device& d) {
    const auto* const bytes = reinterpret_cast<const std::byte*>(weights.data());
    const Slice out = d.room(1);
    d->matmul(d.matrix(DType::f32, 1, 33, {bytes, bytes + 33 * 4}), d.put(x), out, 1);
    return d.get(out);
  });
  CHECK(y[0] == 0.0f);
  CHECK(std::signbit(y[0]));
}

TEST_CASE("NaN codes and infinities come out as NaN on every ISA") {
  Operands operands(DType::f8_e4m3, {4, 200, 3});
  operands.codes[5] = std::byte{0x7f};
  operands.codes[200 + 199] = std::byte{0xff};
  operands.x[7] = HUGE_VALF;
  const Values y = everywhere([&](Device& d) { return operands.product(d); });
  CHECK(std::isnan(y[0]));
  CHECK(std::isnan(y[1]));
  CHECK(std::isinf(y[2]));
  CHECK(std::isfinite(y[6]));
}

TEST_CASE("embedding picks and widens rows of the table, scaled where it has scales") {
  for (const DType type : types) {
    const Operands operands(type, {131, 257, 1});
    const std::vector<std::int32_t> ids = {130, 0, 7, 130};
    const Values rows = everywhere([&](Device& d) {
      const Slice out = d.room(4 * 257);
      d->embed(d.matrix(type, 131, 257, operands.codes, operands.scales), ids, out);
      return d.get(out);
    });
    Exact expected;
    for (const std::int32_t id : ids)
      for (int c = 0; c < 257; ++c) expected.push_back(operands.weight(id, c));
    CHECK(deviation(rows, expected, 1e-7, 0) == "");
  }
}

TEST_CASE("an id outside the embedding table is an error that names it") {
  Device d(backend(Isa::scalar, 1), 0);
  const Matrix table = d.matrix(DType::f32, 4, 2, made_up_codes(DType::f32, 8, 1));
  CHECK_THROWS_WITH_AS(d->embed(table, std::vector<std::int32_t>{4}, d.room(2)),
                       "embed: index 4 is outside [0, 4)", Error);
  CHECK_THROWS_AS(d->embed(table, std::vector<std::int32_t>{-1}, d.room(2)), Error);
}

TEST_CASE("operands that are too small for the shape are an error that names them") {
  Device d(backend(Isa::scalar, 1), 0);
  const Matrix w = d.matrix(DType::f32, 4, 2, made_up_codes(DType::f32, 8, 1));
  CHECK_THROWS_WITH_AS(d->matmul(w, d.room(5), d.room(12), 3),
                       "matmul: x holds 5 values, 6 are needed", Error);
  CHECK_THROWS_AS(d->matmul(w, d.room(6), d.room(11), 3), Error);
  CHECK_THROWS_AS(d->matmul(Matrix{}, d.room(6), d.room(12), 3), Error);
}

}  // namespace
}  // namespace hearth::kernels::test
