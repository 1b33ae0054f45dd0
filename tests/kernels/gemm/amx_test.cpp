// GEMMs in three parts of BF16: with tiles in software on every machine, which is the
// algorithm, the layouts and the registers of AVX-512 but not the instructions; with the
// processor's where it has AMX.
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "kernels/cpu/backend.hpp"
#include "kernels/cpu/gemm/choice.hpp"
#include "kernels/numeric.hpp"
#include "tests/kernels/gemm/amx_two_parts.hpp"
#include "tests/kernels/gemm/case.hpp"
#include "tests/kernels/gemm/software_tables.hpp"
#include "tests/kernels/gemm/software_tile.hpp"

namespace hearth::kernels::test {
namespace {

constexpr DType types_in_parts[] = {DType::bf16, DType::f8_e4m3};
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr int part_count = 3;  // low, middle, high

std::unique_ptr<Backend> open(const cpu::GemmTable& table, int threads) {
  return cpu::make_backend(cpu::scalar_table, {&table, "bf16x3", "bf16x3"}, 1 << 19, threads, "");
}

struct Implementation {
  const char* name;
  const cpu::GemmTable* table;
};

// With tiles in software, and on AMX where it is there.
const std::vector<Implementation>& implementations() {
  static const std::vector<Implementation> all = [] {
    std::vector<Implementation> result = {{"tiles in software", &software_tiles}};
    if (host_has(Isa::amx))
      result.push_back({"amx", &cpu::amx_gemm});
    else
      MESSAGE("skipped amx: this processor does not have it");
    return result;
  }();
  return all;
}

// The result, after checking that every implementation, thread count and alignment gives its bits.
Values everywhere_in_parts(const Computation& compute) {
  Values expected;
  for (const Implementation& implementation : implementations())
    for (const int threads : {1, 3}) {
      CAPTURE(implementation.name);
      CAPTURE(threads);
      const std::unique_ptr<Backend> backend = open(*implementation.table, threads);
      TestDevice d(*backend, threads - 1);
      const Values y = compute(d);
      if (expected.empty()) expected = y;
      CHECK(difference(y, expected) == "");
    }
  return expected;
}

using Parts = std::array<float, part_count>;

// x as the definition cuts it (gemm.hpp).
Parts defined_parts(float x) {
  const auto upper = [](float y) {
    return widen_bf16(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(y) >> 16));
  };
  if (std::isnan(x)) return {0, 0, std::nanf("")};
  if (std::isinf(x)) return {0, 0, x};
  const float high = upper(x), middle = upper(x - high);
  return {upper(x - high - middle), middle, high};
}

// The packed block of some rows of `columns` values.
struct PackedBlock {
  PackedBlock(const Values& x, int rows, int stride, int columns)
      : bytes(static_cast<std::size_t>((rows + 15) / 16) * 16 * 768 + 64) {
    std::memset(bytes.data(), 0x7f, bytes.size());
    to = bytes.data() + (64 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 64) % 64;
    software_tiles.pack[cpu::format_bf16](
        {.x = x.data(), .x_stride = stride, .rows = rows, .columns = columns, .to = to});
  }
  float at(int row, int column, int part) const {
    const int tile = (row / 16 * 4 + column / 32) * part_count + part;
    std::uint16_t code;
    std::memcpy(&code, to + tile * 1024 + column % 32 / 2 * 64 + row % 16 * 4 + column % 2 * 2, 2);
    return widen_bf16(code);
  }
  std::vector<std::byte> bytes;
  std::byte* to;
};

// The definition of gemm.hpp, as it stands there: element by element, without tiles.
Values defined(const GemmCase& of) {
  const auto part = [&](int row, std::int64_t column, int which) {
    if (column >= of.cols) return 0.0f;
    const float x = of.x[static_cast<std::size_t>(row * of.cols + column)];
    return flushed(defined_parts(x)[static_cast<std::size_t>(which)]);
  };
  const auto weight = [&](std::int64_t row, std::int64_t column) {
    if (column >= of.cols) return 0.0f;
    return flushed(static_cast<float>(decoded(of.type, of.codes, row * of.cols + column)));
  };
  Values y;
  for (int r = 0; r < of.activations; ++r)
    for (std::int64_t row = 0; row < of.rows; ++row) {
      float total = 0;
      for (std::int64_t begin = 0; begin < of.cols; begin += 128) {
        float sum = 0;
        for (std::int64_t c = begin; c < std::min(of.cols, begin + 128); c += 32)
          for (const int which : {0, 1, 2}) {
            float of_parity[2] = {0, 0};
            for (std::int64_t i = 0; i < 32; ++i)
              of_parity[i % 2] =
                  flushed(std::fma(part(r, c + i, which), weight(row, c + i), of_parity[i % 2]));
            sum = flushed(sum + flushed(of_parity[0] + of_parity[1]));
          }
        total = std::fma(sum, static_cast<float>(of.scale(row, begin)), total);
      }
      y.push_back(total);
    }
  return y;
}

TEST_CASE("a number is cut in three parts of BF16 that leave nothing of it out") {
  const float max = std::numeric_limits<float>::max();
  Values values = {0,
                   1,
                   0x1.01p0f,
                   0x1.03p0f,
                   0x1.fffffep0f,
                   0x1p-126f,
                   0x1p-149f,
                   0x1.fep127f,
                   0x1.fefffep127f,
                   0x1.ffp127f,
                   max,
                   infinity,
                   std::bit_cast<float>(0x7f800001u),
                   std::bit_cast<float>(0x7fffffffu)};
  for (std::size_t i = 0, count = values.size(); i < count; ++i) values.push_back(-values[i]);
  std::uint32_t seed = 3;
  for (int i = 0; i < 100'000; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values.push_back(std::bit_cast<float>(seed ^ seed >> 13));
  }
  constexpr int columns = 128;
  values.resize((values.size() + columns - 1) / columns * columns);
  const int rows = static_cast<int>(values.size()) / columns;
  const PackedBlock packed(values, rows, columns, columns);
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      const float x = values[static_cast<std::size_t>(row * columns + column)];
      CAPTURE(x);
      const float low = packed.at(row, column, 0), middle = packed.at(row, column, 1);
      const float high = packed.at(row, column, 2);
      if (!std::isfinite(x)) {
        REQUIRE((std::isnan(x) ? std::isnan(high) : high == x));
        REQUIRE((low == 0 && middle == 0));
        continue;
      }
      // Below 2^-110 the low part may be a subnormal number, whose last bit is 2^-133.
      const double left_out = double{x} - double{high} - double{middle} - double{low};
      REQUIRE(std::abs(left_out) <= (std::abs(x) < 0x1p-109f ? 0x1p-133 : 0));
      REQUIRE(std::signbit(high) == std::signbit(x));
      const Parts parts = defined_parts(x);
      REQUIRE((parts[0] == low && parts[1] == middle && parts[2] == high));
    }
}

TEST_CASE("packed rows end in zeros behind the last column, and groups behind the last row") {
  const Values x = made_up(1900, 1, 5);
  const PackedBlock packed(x, 19, 100, 37);
  for (int row = 0; row < 32; ++row)
    for (int c = 0; c < 64; ++c)
      for (int part = 0; part < part_count; ++part) {
        float expected = 0;
        if (row < 19 && c < 37)
          expected = defined_parts(
              x[static_cast<std::size_t>(row * 100 + c)])[static_cast<std::size_t>(part)];
        REQUIRE(packed.at(row, c, part) == expected);
      }
}

TEST_CASE("a product in parts whose rows, or all of it, share a scale has its definition's bits") {
  for (const GemmShape shape : awkward_shapes)
    for (const ScaleForm form : {ScaleForm::rows, ScaleForm::whole}) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      const GemmCase operands(DType::f8_e4m3, shape.rows, shape.cols, shape.activations, 1, form);
      const Values y = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
      CHECK(difference(y, defined(operands)) == "");
    }
}

TEST_CASE("a product in parts has its definition's bits and is as near as that promises") {
  for (const GemmShape shape : awkward_shapes)
    for (const DType type : types_in_parts) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      CAPTURE(shape.activations);
      CAPTURE(static_cast<int>(type));
      const GemmCase operands(type, shape.rows, shape.cols, shape.activations);
      const Values y = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
      CHECK(difference(y, defined(operands)) == "");
      const Exact exact = operands.exact(), magnitudes = operands.exact(true);
      double worst = 0;
      for (std::size_t i = 0; i < y.size(); ++i)
        worst = std::max(worst, std::abs(double{y[i]} - exact[i]) / magnitudes[i]);
      CHECK(worst <= 0x1p-17);
    }
}

TEST_CASE("F32 and F16 weights keep F32's bits beside products in parts") {
  for (const DType type : {DType::f32, DType::f16})
    for (const GemmShape shape : {GemmShape{130, 300, 12}, {65, 255, 8}, {5, 40, 70}}) {
      const GemmCase operands(type, shape.rows, shape.cols, shape.activations);
      const Values y = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
      TestDevice plain(backend(Isa::scalar, 1), 0);
      CHECK(difference(y, operands.product(plain)) == "");
    }
}

TEST_CASE("registers as wide as AVX-512's give the bits of F32's definition in all formats") {
  CHECK(cpu::agrees(software_registers));
}

TEST_CASE("a row's bits in a product in parts are the same alone and beside any others") {
  for (const DType type : types_in_parts) {
    const GemmCase operands(type, 70, 300, 67);
    const Values together = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
    for (const int count : {1, 2, 5, 15, 16, 17, 31, 32, 33, 47, 48, 49, 66})
      for (int first = 0; first + count <= operands.activations; first += count) {
        CAPTURE(count);
        CAPTURE(first);
        const Values some =
            everywhere_in_parts([&](TestDevice& d) { return operands.product(d, first, count); });
        const auto begin = together.begin() + first * operands.rows;
        CHECK(difference(some, Values(begin, begin + count * operands.rows)) == "");
        if (count < 5 && first >= 10) break;
      }
  }
}

TEST_CASE("more rows in parts than the scratch memory holds have the same bits") {
  const GemmCase operands(DType::bf16, 3, 8192, 300);
  const Values together = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
  for (const int row : {0, 149, 160, 299}) {
    const Values one =
        everywhere_in_parts([&](TestDevice& d) { return operands.product(d, row, 1); });
    const auto begin = together.begin() + 3 * row;
    CHECK(difference(one, Values(begin, begin + 3)) == "");
  }
}

TEST_CASE("every code of F8 is widened to its value in a product in parts") {
  check_every_code(everywhere_in_parts);
}

TEST_CASE("infinities and NaN stay in their own row of a product in parts") {
  for (const int activations : {3, 14, 40}) {
    GemmCase operands(DType::f8_e4m3, 20, 200, activations);
    operands.codes[5] = std::byte{0x7f};
    operands.codes[3 * 200 + 7] = std::byte{0};
    operands.x[7] = infinity;
    operands.x[2 * 200 + 8] = std::nanf("");
    const Values y = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
    CHECK(std::isnan(y[0]));  // a NaN weight
    CHECK(std::isinf(y[1]));
    CHECK(std::isnan(y[3]));  // infinity times zero
    CHECK(std::isnan(y[20]));
    for (int row = 1; row < 20; ++row) {
      CHECK(std::isfinite(y[static_cast<std::size_t>(20 + row)]));
      CHECK(std::isnan(y[static_cast<std::size_t>(40 + row)]));
    }
  }
}

TEST_CASE("the largest numbers do not become infinite when they are cut") {
  GemmCase operands(DType::bf16, 1, 2, 1);
  const std::uint16_t half = 0x3f00;
  std::memcpy(operands.codes.data(), &half, 2);
  std::memcpy(operands.codes.data() + 2, &half, 2);
  operands.x = {std::numeric_limits<float>::max(), -0x1p127f};
  const Values y = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
  CHECK(double{y[0]} == doctest::Approx(0x1p126).epsilon(1e-5));
}

// Root mean square of the errors, beside that of the results.
double relative_error(const Values& y, const Exact& exact) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    error += (double{y[i]} - exact[i]) * (double{y[i]} - exact[i]);
    size += exact[i] * exact[i];
  }
  return std::sqrt(error / size);
}

TEST_CASE("three parts come as near as F32, two are ten times as far") {
  // A column of a hidden layer's width, activations as behind a norm with outliers.
  GemmCase operands(DType::f8_e4m3, 64, 2048, 8);
  for (std::size_t i = 0; i < operands.x.size(); i += 97) operands.x[i] *= 40;
  const Exact exact = operands.exact();
  const Values three = everywhere_in_parts([&](TestDevice& d) { return operands.product(d); });
  TestDevice plain(backend(Isa::scalar, 1), 0);
  const double f32 = relative_error(operands.product(plain), exact);
  const auto in_two = [&](const cpu::GemmTable& table) {
    const std::unique_ptr<Backend> backend = open(table, 1);
    TestDevice d(*backend, 0);
    return operands.product(d);
  };
  const Values two = in_two(software_two_parts);
  if (host_has(Isa::amx)) CHECK(difference(in_two(amx_two_parts), two) == "");
  const double error = relative_error(three, exact);
  CAPTURE(error);
  CAPTURE(f32);
  CAPTURE(relative_error(two, exact));
  CHECK(error < f32);
  CHECK(error * 10 < relative_error(two, exact));
}

void without_low_parts(const cpu::Packing& p) {
  software_tiles.pack[cpu::format_f8](p);
  const int tiles = static_cast<int>((p.rows + 15) / 16 * 4 * part_count);
  for (int tile = 0; tile < tiles; tile += part_count) std::memset(p.to + tile * 1024, 0, 1024);
}

void wrong_last(const cpu::GemmArguments& p) {
  software_tiles.product[cpu::format_bf16](p);
  p.y[p.last - 1] *= 1.001f;
}

TEST_CASE("a table in parts that is not near enough is found out") {
  CHECK(cpu::agrees(software_tiles));
  CHECK_FALSE(cpu::agrees(software_two_parts));
  cpu::GemmTable wrong = software_tiles;
  wrong.pack[cpu::format_f8] = without_low_parts;
  CHECK_FALSE(cpu::agrees(wrong));
  wrong = software_tiles;
  wrong.product[cpu::format_bf16] = wrong_last;
  CHECK_FALSE(cpu::agrees(wrong));
  wrong = software_tiles;
  wrong.in_parts = false;
  CHECK_FALSE(cpu::agrees(wrong));
}

TEST_CASE("a backend on AMX says that its GEMMs are in three parts") {
  if (!host_has(Isa::amx)) {
    MESSAGE("skipped amx: this processor does not have it");
    return;
  }
  CpuChoice choice;
  const std::unique_ptr<Backend> opened = open_cpu(1, Isa::amx, choice);
  CHECK(choice.gemm == "amx bf16x3");
  CHECK(choice.isa == Isa::amx);
  CHECK(choice.notes.empty());
  CHECK(opened->numerics() == "gemm bf16x3");
}

}  // namespace
}  // namespace hearth::kernels::test
