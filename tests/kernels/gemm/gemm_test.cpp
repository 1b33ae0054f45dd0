// GEMMs: the definition against sums in double, every table against the definition, and
// what a row's bits may not depend on.
#include <cmath>

#include "kernels/cpu/gemm/choice.hpp"
#include "tests/kernels/gemm/case.hpp"

namespace hearth::kernels::test {
namespace {

constexpr DType types[] = {DType::f32, DType::f16, DType::bf16, DType::f8_e4m3};

TEST_CASE("a GEMM of any shape and format has the definition's bits on every ISA") {
  for (const GemmShape shape : awkward_shapes)
    for (const DType type : types) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      CAPTURE(shape.activations);
      CAPTURE(static_cast<int>(type));
      const GemmCase operands(type, shape.rows, shape.cols, shape.activations);
      const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });

      const double size = type == DType::f8_e4m3 ? 100 : 1;
      CHECK(deviation(y, operands.exact(), 1e-5, 1e-6 * size * std::sqrt(double(shape.cols))) ==
            "");
    }
}

TEST_CASE("a GEMM whose rows, or all of it, share a scale has the definition's bits too") {
  for (const GemmShape shape : awkward_shapes)
    for (const ScaleForm form : {ScaleForm::rows, ScaleForm::whole}) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      CAPTURE(shape.activations);
      const GemmCase operands(DType::f8_e4m3, shape.rows, shape.cols, shape.activations, 1, form);
      const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });
      CHECK(deviation(y, operands.exact(), 1e-5, 1e-4 * std::sqrt(double(shape.cols))) == "");
    }
}

TEST_CASE("a row's bits in a GEMM are the same alone and beside any others") {
  for (const DType type : types) {
    const GemmCase operands(type, 130, 300, 29);
    const Values together = best([&](TestDevice& d) { return operands.product(d); });
    for (const int count : {1, 2, 5, 12, 13, 28})
      for (int first = 0; first + count <= operands.activations; first += count) {
        CAPTURE(count);
        CAPTURE(first);
        const Values some = best([&](TestDevice& d) { return operands.product(d, first, count); });
        const auto begin = together.begin() + first * operands.rows;
        CHECK(difference(some, Values(begin, begin + count * operands.rows)) == "");
      }
  }
}

TEST_CASE("more rows than the scratch memory holds have the same bits") {
  const GemmCase operands(DType::bf16, 3, 8192, 300);
  const Values together = best([&](TestDevice& d) { return operands.product(d); });
  const Values last = best([&](TestDevice& d) { return operands.product(d, 299, 1); });
  CHECK(difference(last, Values(together.end() - 3, together.end())) == "");
}

TEST_CASE("a group of GEMMs gives what each gives alone") {
  // Gate and up read the same rows; the others differ in every size.
  const GemmCase gate(DType::f8_e4m3, 96, 200, 10, 1), up(DType::f8_e4m3, 96, 200, 10, 50);
  const GemmCase router(DType::bf16, 33, 200, 300, 7), wide(DType::f32, 5, 9000, 250, 8);
  const Values group = everywhere([&](TestDevice& d) {
    const Slice x = d.put(gate.x);
    std::vector<MatMul> products = {
        {d.matrix(gate.type, gate.rows, gate.cols, gate.codes, gate.scales), x, d.room(960), 10},
        {d.matrix(up.type, up.rows, up.cols, up.codes, up.scales), x, d.room(960), 10}};
    for (const GemmCase* other : {&router, &wide})
      products.push_back({d.matrix(other->type, other->rows, other->cols, other->codes),
                          d.put(other->x), d.room(other->activations * other->rows),
                          other->activations});
    products.push_back({products[0].w, d.put({}), d.room(0), 0});
    d->matmul(products, ProductForm::gemm);
    Values all;
    for (const MatMul& product : products) {
      const Values y = d.get(product.y);
      all.insert(all.end(), y.begin(), y.end());
    }
    return all;
  });
  GemmCase second = up;
  second.x = gate.x;
  Values alone;
  for (const GemmCase* one : {&gate, static_cast<const GemmCase*>(&second), &router, &wide}) {
    const Values y = best([&](TestDevice& d) { return one->product(d); });
    alone.insert(alone.end(), y.begin(), y.end());
  }
  CHECK(difference(group, alone) == "");
}

TEST_CASE("every code of F8 is widened to its value in a GEMM") {
  check_every_code(everywhere);
}

TEST_CASE("infinities and NaN stay in their own row of a GEMM") {
  GemmCase operands(DType::f8_e4m3, 20, 200, 14);
  operands.codes[5] = std::byte{0x7f};
  operands.x[7] = HUGE_VALF;
  const Values y = everywhere([&](TestDevice& d) { return operands.product(d); });
  CHECK(std::isnan(y[0]));
  CHECK(std::isinf(y[1]));
  CHECK(std::isnan(y[20]));
  CHECK(std::isfinite(y[21]));
}

TEST_CASE("operands of a GEMM that are too small are an error that names them") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  const Matrix w = d.matrix(DType::f32, 4, 2, made_up_codes(DType::f32, 8, 1));
  const auto multiply = [&](std::int64_t x, std::int64_t y, int rows) {
    d->matmul(w, d.room(x), d.room(y), rows, ProductForm::gemm);
  };
  CHECK_THROWS_WITH_AS(multiply(5, 12, 3), "matmul: x holds 5 values, 6 are needed", Error);
  CHECK_THROWS_WITH_AS(multiply(6, 11, 3), "matmul: y holds 11 values, 12 are needed", Error);
  CHECK_THROWS_AS(d->matmul(Matrix{}, d.room(6), d.room(12), 3, ProductForm::gemm), Error);
  // A group fails as a whole, and leaves nothing behind for the next call.
  const Slice x = d.put(Values(6, 1)), y = d.room(12);
  const MatMul group[] = {{w, x, y, 3}, {w, x, y, 4}};
  CHECK_THROWS_AS(d->matmul(group, ProductForm::gemm), Error);
  const Values before = d.get(y);
  multiply(6, 12, 3);
  CHECK(difference(d.get(y), before) == "");
}

void wrong_product(const cpu::GemmArguments& p) {
  cpu::scalar_gemm.product[cpu::format_f16](p);
  p.y[p.last - 1] *= 1.0000001f;
}

TEST_CASE("a table of GEMMs that differs in one format is found out") {
  cpu::GemmTable wrong = cpu::scalar_gemm;
  CHECK(cpu::agrees(wrong));
  wrong.product[cpu::format_f16] = wrong_product;
  CHECK_FALSE(cpu::agrees(wrong));
}

TEST_CASE("a backend says which GEMMs it runs") {
  for (const Isa isa : host_isas()) {
    CpuChoice choice;
    const std::unique_ptr<Backend> opened = open_cpu(1, isa, choice);
    CHECK(choice.gemm.find(name(isa)) == 0);
    CHECK(opened->numerics() == "gemm f32");
  }
}

}  // namespace
}  // namespace hearth::kernels::test
