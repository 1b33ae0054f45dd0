// Products: the definition against sums in double, every ISA against the definition, a row against
// itself in company, a group against its products one by one.
#include <cmath>
#include <random>

#include "kernels/cpu/rows/table.hpp"

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

constexpr DType types[] = {DType::f32, DType::f16, DType::bf16, DType::f8_e4m3};

struct Shape {
  std::int64_t rows;  // of the weights
  std::int64_t cols;
  int activations;
};

struct Operands {
  Operands(DType weight_type, Shape shape_of_all, ScaleForm form_of_scales = ScaleForm::blocks)
      : type(weight_type),
        shape(shape_of_all),
        scale_form(form_of_scales),
        codes(made_up_codes(type, shape.rows * shape.cols, 1)),
        x(made_up(shape.activations * shape.cols, 1, 2)) {
    if (type == DType::f8_e4m3)
      scales = made_up(scale_count(scale_form, shape.rows, shape.cols), 0.05f, 3);
  }

  double weight(std::int64_t row, std::int64_t col) const {
    const double value = decoded(type, codes, row * shape.cols + col);
    if (type != DType::f8_e4m3) return value;
    return value * double{scales[scale_index(scale_form, shape.cols, row, col)]};
  }

  // The rows [first, first + count) of x alone.
  Values product(TestDevice& d, int first, int count) const {
    const Matrix w = d.matrix(type, shape.rows, shape.cols, codes, scales, scale_form);
    const Slice all = d.put(x);
    const Slice y = d.room(count * shape.rows);
    const auto width = static_cast<std::size_t>(shape.cols);
    d->matmul(
        w,
        all.sub(static_cast<std::size_t>(first) * width, static_cast<std::size_t>(count) * width),
        y, count);
    return d.get(y);
  }
  Values product(TestDevice& d) const { return product(d, 0, shape.activations); }

  // In double.
  Exact exact() const {
    Exact result;
    for (int r = 0; r < shape.activations; ++r)
      for (std::int64_t row = 0; row < shape.rows; ++row) {
        double sum = 0;
        for (std::int64_t c = 0; c < shape.cols; ++c)
          sum += weight(row, c) * double{x[static_cast<std::size_t>(r * shape.cols + c)]};
        result.push_back(sum);
      }
    return result;
  }

  DType type;
  Shape shape;
  ScaleForm scale_form;
  std::vector<std::byte> codes;
  Values x;
  Values scales;
};

TEST_CASE("a product of any shape and format has the definition's bits on every ISA") {
  const Shape shapes[] = {{1, 1, 1},    {1, 31, 2},    {3, 32, 3},    {2, 33, 9},
                          {5, 127, 8},  {129, 128, 1}, {3, 129, 17},  {257, 300, 2},
                          {7, 257, 70}, {300, 1, 5},   {130, 385, 4}, {33, 1024, 16},
                          {9, 256, 1},  {5, 904, 1},   {131, 512, 3}, {3, 1000, 6}};
  for (const Shape shape : shapes) {
    for (const DType type : types) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      CAPTURE(shape.activations);
      CAPTURE(static_cast<int>(type));
      const Operands operands(type, shape);
      const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });

      const double size = type == DType::f8_e4m3 ? 100 : 1;
      CHECK(deviation(y, operands.exact(), 1e-5, 1e-6 * size * std::sqrt(double(shape.cols))) ==
            "");
    }
  }
}

TEST_CASE("a product whose rows, or all of it, share a scale has the definition's bits too") {
  for (const Shape shape : {Shape{1, 1, 1}, Shape{5, 127, 8}, Shape{129, 300, 2}, Shape{7, 256, 70},
                            Shape{131, 512, 1}, Shape{33, 1024, 5}, Shape{3, 1000, 1}})
    for (const ScaleForm form : {ScaleForm::rows, ScaleForm::whole}) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      CAPTURE(shape.activations);
      const Operands operands(DType::f8_e4m3, shape, form);
      const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });
      CHECK(deviation(y, operands.exact(), 1e-5, 1e-4 * std::sqrt(double(shape.cols))) == "");
      if (form != ScaleForm::whole) continue;
      // As if each block had that scale.
      Operands blocks(DType::f8_e4m3, shape);
      std::fill(blocks.scales.begin(), blocks.scales.end(), operands.scales.front());
      CHECK(difference(best([&](TestDevice& d) { return blocks.product(d); }), y) == "");
    }
}

TEST_CASE("a product larger than the caches has the definition's bits") {
  const Operands operands(DType::f32, {2100, 4099, 1});
  everywhere([&](TestDevice& d) { return operands.product(d); });
}

TEST_CASE("a row's bits are the same alone and beside others") {
  for (const DType type : types) {
    const Operands operands(type, {37, 300, 23});
    const Values together = best([&](TestDevice& d) { return operands.product(d); });
    for (int r = 0; r < operands.shape.activations; ++r) {
      const Values alone = best([&](TestDevice& d) { return operands.product(d, r, 1); });
      const auto begin = together.begin() + r * operands.shape.rows;
      CHECK(difference(alone, Values(begin, begin + operands.shape.rows)) == "");
    }
  }
}

TEST_CASE("lanes without an element keep a negative zero") {
  // Every product rounds to -0, and so does the sum, unless a tail adds +0 to the lanes beside it.
  const Values weights(33, 1e-30f), x(33, -1e-30f);
  const Values y = everywhere([&](TestDevice& d) {
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
  const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });
  CHECK(std::isnan(y[0]));
  CHECK(std::isnan(y[1]));
  CHECK(std::isinf(y[2]));
  CHECK(std::isfinite(y[6]));
}

TEST_CASE("beside F8 an activation of 2^36 and more counts as infinite, and no smaller one") {
  Operands operands(DType::f8_e4m3, {5, 200, 2});
  operands.codes[3] = std::byte{0x38};  // 1
  operands.x[3] = 0x1p36F;
  operands.x[200 + 3] = 0x1.fffffep35F;
  const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });
  CHECK(std::isinf(y[0]));
  CHECK(std::isfinite(y[5]));
}

TEST_CASE("beside F8 an activation below 2^-89 counts as zero, and no larger one") {
  Operands operands(DType::f8_e4m3, {3, 200, 2});
  std::fill(operands.codes.begin(), operands.codes.end(), std::byte{0x01});  // 2^-9, subnormal
  std::fill(operands.scales.begin(), operands.scales.end(), 1.0f);
  std::fill(operands.x.begin(), operands.x.end(), 0.0f);
  operands.x[3] = -0x1.fffffep-90F;
  operands.x[200 + 3] = -0x1.000002p-89F;
  const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });
  CHECK(y[0] == 0.0f);
  CHECK(y[3] == -0x1.000002p-98F);
}

TEST_CASE("activations of all magnitudes give every ISA the same bits beside F8") {
  Operands operands(DType::f8_e4m3, {70, 385, 7});
  std::mt19937 random(5);
  std::uniform_int_distribution<int> exponent(-100, 35), few(0, 3);
  // Within a row all sizes, so that sums round and cancel; in every fourth row only tiny ones.
  for (std::size_t i = 0; i < operands.x.size(); ++i)
    operands.x[i] =
        std::ldexp(operands.x[i], i / 385 % 4 == 3 ? -88 + few(random) : exponent(random));
  for (float& scale : operands.scales) scale = std::ldexp(scale, exponent(random));
  everywhere([&](TestDevice& d) { return operands.product(d); });
}

// Every code in a lane and a column of its own, beside activations that are zero but one.
Values each_code(TestDevice& d, const cpu::Table* table, int activations) {
  constexpr std::int64_t cols = 256;
  std::vector<std::byte> codes(256 * cols);
  Values x(static_cast<std::size_t>(activations * cols), 1.0f), scale(4, 1.0f);
  for (std::size_t code = 0; code < 256; ++code)
    codes[code * cols + (code * 37) % cols] = static_cast<std::byte>(code);
  if (table == nullptr) {
    const Slice y = d.room(activations * 256);
    d->matmul(d.matrix(DType::f8_e4m3, 256, cols, codes, scale), d.put(x), y, activations);
    return d.get(y);
  }
  Values packed(x.size()), y(static_cast<std::size_t>(activations) * 256);
  for (int r = 0; r < activations; ++r)
    table->pack_activations[cpu::format_f8](&x[static_cast<std::size_t>(r * cols)],
                                            &packed[static_cast<std::size_t>(r * cols)], cols);
  table->product[cpu::format_f8]({.weights = {.data = codes.data(),
                                              .cols = cols,
                                              .stride = cols,
                                              .scales = scale.data(),
                                              .scale_stride = 2},
                                  .first = 0,
                                  .last = 256,
                                  .x = packed.data(),
                                  .x_stride = cols,
                                  .y = y.data(),
                                  .y_stride = 256,
                                  .rows = activations});
  return y;
}

TEST_CASE("each of the 256 codes of F8 is widened exactly, by every product that takes them") {
  std::vector<std::byte> codes(256);
  for (std::size_t i = 0; i < 256; ++i) codes[i] = static_cast<std::byte>(i);
  for (const int activations : {1, 2, 4, 9}) {
    Values expected;
    for (int r = 0; r < activations; ++r)
      for (std::int64_t i = 0; i < 256; ++i)
        expected.push_back(static_cast<float>(decoded(DType::f8_e4m3, codes, i)) + 0.0f);
    CHECK(difference(everywhere([&](TestDevice& d) { return each_code(d, nullptr, activations); }),
                     expected) == "");
    // What a processor with AVX512_VBMI passes over.
    if (!host_has(Isa::avx512)) continue;
    TestDevice d(backend(Isa::scalar, 1), 0);
    CHECK(difference(each_code(d, &cpu::avx512_table, activations), expected) == "");
  }
}

TEST_CASE("without AVX512_VBMI the products of F8 have the definition's bits too") {
  if (!host_has(Isa::avx512)) return;
  struct Tried {
    Shape shape;
    ScaleForm form;
  };
  for (const auto& [shape, form] :
       {Tried{{130, 385, 9}, ScaleForm::blocks}, Tried{{7, 1000, 1}, ScaleForm::blocks},
        Tried{{33, 512, 5}, ScaleForm::blocks}, Tried{{131, 512, 1}, ScaleForm::rows},
        Tried{{33, 385, 5}, ScaleForm::rows}}) {
    const Operands operands(DType::f8_e4m3, shape, form);
    const bool by_rows = form == ScaleForm::rows;
    const std::int64_t stride = cpu::packed_size(shape.cols);
    Values results[2];
    for (const cpu::Table* table : {&cpu::scalar_table, &cpu::avx512_table}) {
      Values packed(static_cast<std::size_t>(shape.activations * stride));
      for (int r = 0; r < shape.activations; ++r)
        table->pack_activations[cpu::format_f8](
            &operands.x[static_cast<std::size_t>(r * shape.cols)],
            &packed[static_cast<std::size_t>(r * stride)], shape.cols);
      Values& y = results[table == &cpu::scalar_table ? 0 : 1];
      y.resize(static_cast<std::size_t>(shape.activations * shape.rows));
      table->product[cpu::format_f8](
          {.weights = {.data = operands.codes.data(),
                       .cols = shape.cols,
                       .stride = shape.cols,
                       .scales = operands.scales.data(),
                       .scale_stride = by_rows ? 1 : (shape.cols + 127) / 128,
                       .scale_shift = by_rows ? 0 : 7,
                       .scale_step = by_rows ? 0 : 1},
           .first = 0,
           .last = shape.rows,
           .x = packed.data(),
           .x_stride = stride,
           .y = y.data(),
           .y_stride = shape.rows,
           .rows = shape.activations});
    }
    CHECK(difference(results[1], results[0]) == "");
  }
}

TEST_CASE("products of a group have the bits that each has alone") {
  const Operands members[] = {{DType::f8_e4m3, {512, 256, 1}}, {DType::f8_e4m3, {300, 256, 3}},
                              {DType::bf16, {77, 256, 3}},     {DType::f32, {1, 40, 2}},
                              {DType::bf16, {2000, 256, 1}},   {DType::f16, {9, 33, 70}}};
  Values alone;
  for (const Operands& member : members)
    for (const float value : best([&](TestDevice& d) { return member.product(d); }))
      alone.push_back(value);
  const Values together = everywhere([&](TestDevice& d) {
    std::vector<MatMul> group;
    for (const Operands& m : members) {
      // The first and the fifth read the same x.
      const bool shares = group.size() == 4;
      group.push_back({d.matrix(m.type, m.shape.rows, m.shape.cols, m.codes, m.scales),
                       shares ? group[0].x : d.put(m.x), d.room(m.shape.activations * m.shape.rows),
                       m.shape.activations});
    }
    d->matmul(group, ProductForm::gemv);
    Values all;
    for (const MatMul& m : group)
      for (const float value : d.get(m.y)) all.push_back(value);
    return all;
  });
  CHECK(difference(together, alone) == "");
}

TEST_CASE("a group of nothing and a product of no rows change nothing") {
  TestDevice d(backend(host_isas().back(), 2), 0);
  const Matrix w = d.matrix(DType::f32, 4, 2, made_up_codes(DType::f32, 8, 1));
  const Slice y = d.room(4);
  const Values untouched = d.get(y);
  d->matmul(std::span<const MatMul>(), ProductForm::gemv);
  d->matmul(w, d.room(2), y, 0);
  CHECK(d.get(y) == untouched);
}

TEST_CASE("embedding picks and widens rows of the table, scaled where it has scales") {
  for (const DType type : types) {
    const Operands operands(type, {131, 257, 1});
    const std::vector<std::int32_t> ids = {130, 0, 7, 130};
    const Values rows = everywhere([&](TestDevice& d) {
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
  TestDevice d(backend(Isa::scalar, 1), 0);
  const Matrix table = d.matrix(DType::f32, 4, 2, made_up_codes(DType::f32, 8, 1));
  CHECK_THROWS_WITH_AS(d->embed(table, std::vector<std::int32_t>{4}, d.room(2)),
                       "embed: index 4 is outside [0, 4)", Error);
  CHECK_THROWS_AS(d->embed(table, std::vector<std::int32_t>{-1}, d.room(2)), Error);
}

TEST_CASE("operands that are too small for the shape are an error that names them") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  const Matrix w = d.matrix(DType::f32, 4, 2, made_up_codes(DType::f32, 8, 1));
  CHECK_THROWS_WITH_AS(d->matmul(w, d.room(5), d.room(12), 3),
                       "matmul: x holds 5 values, 6 are needed", Error);
  CHECK_THROWS_AS(d->matmul(w, d.room(6), d.room(11), 3), Error);
  CHECK_THROWS_AS(d->matmul(Matrix{}, d.room(6), d.room(12), 3), Error);
}

}  // namespace
}  // namespace hearth::kernels::test
