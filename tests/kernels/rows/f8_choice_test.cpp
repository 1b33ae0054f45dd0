// AVX2's two forms of the F8 product: the same bits, and which one a processor takes.
#include "kernels/cpu/rows/f8_choice.hpp"

#include <array>
#include <limits>

#include "kernels/cpu/backend.hpp"
#include "kernels/cpu/rows/selfcheck.hpp"
#include "tests/kernels/gemm/case.hpp"

namespace hearth::kernels::test {
namespace {

constexpr cpu::F8Times times(double without, double with) {
  return {.without = without, .with = with};
}

TEST_CASE("a tenth more for one subnormal code in a thousand is dear") {
  CHECK_FALSE(cpu::subnormals_are_dear(times(20e-6, 20e-6)));
  CHECK_FALSE(cpu::subnormals_are_dear(times(20e-6, 21.9e-6)));
  CHECK(cpu::subnormals_are_dear(times(20e-6, 22.1e-6)));
}

TEST_CASE("where subnormal codes are dear, the form through F16 is tried first") {
  const auto dear = cpu::avx2_tables(times(20e-6, 30e-6));
  REQUIRE(dear.size() == 2);
  CHECK(dear[0].table == &cpu::avx2_f16_table);
  CHECK(dear[1].table == &cpu::avx2_table);
  const auto cheap = cpu::avx2_tables(times(20e-6, 20e-6));
  REQUIRE(cheap.size() == 1);
  CHECK(cheap[0].table == &cpu::avx2_table);
}

TEST_CASE("both forms are timed") {
  if (!host_has(Isa::avx2)) return;
  for (const cpu::Table* table : {&cpu::avx2_table, &cpu::avx2_f16_table}) {
    const cpu::F8Times measured = cpu::time_f8(*table);
    CHECK(measured.without > 0);
    CHECK(measured.with > 0);
    CHECK(measured.with < 1);
  }
}

// By the definition, after checking that both forms give its bits.
Values in_both_forms(const GemmCase& of) {
  const auto product = [&](const cpu::Table& table) {
    const std::unique_ptr<Backend> backend =
        cpu::make_backend(table, {&cpu::scalar_gemm, "f32", "f32"}, 1 << 19, 1, "");
    TestDevice d(*backend, 1);
    const Slice y = d.room(of.activations * of.rows);
    d->matmul(d.matrix(of.type, of.rows, of.cols, of.codes, of.scales, of.scale_form), d.put(of.x),
              y, of.activations);
    return d.get(y);
  };
  const Values expected = product(cpu::scalar_table);
  CHECK(difference(product(cpu::avx2_table), expected) == "");
  CHECK(difference(product(cpu::avx2_f16_table), expected) == "");
  return expected;
}

constexpr float infinity = std::numeric_limits<float>::infinity();
// Around zero, where activations begin to count, where they end, and in between.
const Values edges = {0,         0x1p-149f,
                      0x1p-126f, 0x1p-100f,
                      0x1p-90f,  0x1.fffffep-90f,
                      0x1p-89f,  0x1.000002p-89f,
                      0x1p-60f,  0x1.234566p-30f,
                      1,         0x1.fffffep0f,
                      0x1p20f,   0x1.fffffep35f,
                      0x1p36f,   0x1.000002p36f,
                      0x1p100f,  std::numeric_limits<float>::max(),
                      infinity,  std::numeric_limits<float>::quiet_NaN()};

TEST_CASE("every F8 code times the edges of activations has the definition's bits in both forms") {
  if (!host_has(Isa::avx2)) return;
  for (const float edge : edges)
    for (const float x : {edge, -edge})
      for (const float scale : {1.0f, 0x1.8p-40f, 0x1.8p60f}) {
        CAPTURE(x);
        GemmCase operands(DType::f8_e4m3, 256, 1, 1);
        for (int code = 0; code < 256; ++code)
          operands.codes[static_cast<std::size_t>(code)] = static_cast<std::byte>(code);
        operands.scales = {scale, scale};
        operands.x = {x};
        in_both_forms(operands);
      }
}

TEST_CASE("scales by rows, or one for all, have the definition's bits in both forms") {
  if (!host_has(Isa::avx2)) return;
  for (const ScaleForm form : {ScaleForm::rows, ScaleForm::whole})
    for (const std::int64_t columns : {31, 256, 1000})
      for (const int activations : {1, 2, 9})
        in_both_forms(GemmCase(DType::f8_e4m3, 131, columns, activations, 1, form));
}

TEST_CASE("sums of all F8 codes beside edges have the definition's bits in both forms") {
  if (!host_has(Isa::avx2)) return;
  for (const std::int64_t columns : {31, 64, 128, 200, 300, 1000})
    for (const int activations : {1, 2, 3, 9}) {
      CAPTURE(columns);
      CAPTURE(activations);
      GemmCase operands(DType::f8_e4m3, 130, columns, activations);
      std::uint32_t seed = 5;
      for (std::byte& code : operands.codes) {
        seed = seed * 1664525u + 1013904223u;
        code = static_cast<std::byte>(seed >> 24);  // some NaN
        if (seed % 16 != 0 && (code & std::byte{0x7f}) == std::byte{0x7f}) code = std::byte{5};
      }
      in_both_forms(operands);
      // Finite ones, so that the sums are numbers.
      for (std::size_t i = 0; i < operands.x.size(); i += 3)
        operands.x[i] = edges[i / 3 % 14] * (i % 2 == 0 ? 1 : -1);
      for (std::byte& code : operands.codes)
        if ((code & std::byte{0x7f}) == std::byte{0x7f}) code = std::byte{0x84};
      for (const float y : in_both_forms(operands)) REQUIRE(std::isfinite(y));
    }
}

TEST_CASE("the form through F16 passes the check at the start") {
  if (!host_has(Isa::avx2)) return;
  const std::array<cpu::NamedTable, 3> tables = {
      cpu::NamedTable{"through F16", &cpu::avx2_f16_table},
      {"avx2", &cpu::avx2_table},
      {"scalar", &cpu::scalar_table}};
  std::vector<std::string> notes;
  const cpu::Table chosen = cpu::checked(tables, notes);
  CHECK(notes.empty());
  CHECK((chosen.product[cpu::format_f8] == cpu::avx2_f16_table.product[cpu::format_f8]));
  CHECK((chosen.product[cpu::format_f8] != cpu::avx2_table.product[cpu::format_f8]));
  CHECK((chosen.pack_activations[cpu::format_f8] ==
         cpu::avx2_f16_table.pack_activations[cpu::format_f8]));
}

}  // namespace
}  // namespace hearth::kernels::test
