// Blocked products in two parts of BF16: with tiles in software on every machine, which is the
// algorithm, the layouts and the registers of AVX-512 but not the instructions; with the
// processor's where it has AMX.
#include "plain_registers.hpp"
#include "software_tiles.hpp"
// After the registers and the tiles that they are written over.
#include "kernels/cpu/blocked_bf16x2.hpp"
#include "kernels/cpu/blocked_vector.hpp"
// And what tests them.
#include <bit>
#include <limits>

#include "blocked_case.hpp"
#include "kernels/cpu/backend.hpp"
#include "kernels/cpu/blocked_choice.hpp"

namespace hearth::kernels::cpu {
namespace {

constexpr BlockedTable software_blocked = {
    .two_parts = true,
    .piece_work = blocked_table.piece_work / 64,
    .pack = {pack, pack, pack_parts, pack_parts},
    .product = {blocked_product<F32>, blocked_product<F16>, two_part_product<Bf16>,
                two_part_product<F8>},
};

}  // namespace
}  // namespace hearth::kernels::cpu

namespace hearth::kernels::test {
namespace {

constexpr DType two_part_types[] = {DType::bf16, DType::f8_e4m3};
constexpr float infinity = std::numeric_limits<float>::infinity();

std::unique_ptr<Backend> open(const cpu::BlockedTable& table, int threads) {
  return cpu::make_backend(cpu::scalar_table, {&table, "bf16x2", "bf16x2"}, 1 << 19, threads, "");
}

struct Implementation {
  const char* name;
  const cpu::BlockedTable* table;
};

// With tiles in software, and on AMX where it is there.
const std::vector<Implementation>& implementations() {
  static const std::vector<Implementation> all = [] {
    std::vector<Implementation> result = {{"tiles in software", &cpu::software_blocked}};
    if (host_has(Isa::amx))
      result.push_back({"amx", &cpu::amx_blocked});
    else
      MESSAGE("skipped amx: this processor does not have it");
    return result;
  }();
  return all;
}

// The result, after checking that every implementation, thread count and alignment gives its bits.
Values everywhere_in_two_parts(const Computation& compute) {
  Values expected;
  for (const Implementation& implementation : implementations())
    for (const int threads : {1, 3}) {
      CAPTURE(implementation.name);
      CAPTURE(threads);
      const std::unique_ptr<Backend> backend = open(*implementation.table, threads);
      Device d(*backend, threads - 1);
      const Values y = compute(d);
      if (expected.empty()) expected = y;
      CHECK(difference(y, expected) == "");
    }
  return expected;
}

struct Parts {
  float high;
  float low;
};

Parts parts_of(float x) {
  std::uint16_t high = 0, low = 0;
  cpu::split(x, high, low);
  return {widen_bf16(high), widen_bf16(low)};
}

// The definition of blocked.hpp, as it stands there: element by element, without tiles.
Values defined(const BlockedCase& of) {
  const auto part = [&](int row, std::int64_t column, int which) {
    if (column >= of.cols) return 0.0f;
    const Parts parts = parts_of(of.x[static_cast<std::size_t>(row * of.cols + column)]);
    return cpu::flushed(which == 0 ? parts.high : parts.low);
  };
  const auto weight = [&](std::int64_t row, std::int64_t column) {
    if (column >= of.cols) return 0.0f;
    return cpu::flushed(static_cast<float>(decoded(of.type, of.codes, row * of.cols + column)));
  };
  Values y;
  for (int r = 0; r < of.activations; ++r)
    for (std::int64_t row = 0; row < of.rows; ++row) {
      float total = 0;
      for (std::int64_t begin = 0; begin < of.cols; begin += 128) {
        float sum = 0;
        for (std::int64_t c = begin; c < std::min(of.cols, begin + 128); c += 32)
          for (const int which : {0, 1}) {
            float of_parity[2] = {0, 0};
            for (std::int64_t i = 0; i < 32; ++i)
              of_parity[i % 2] = cpu::flushed(
                  std::fma(part(r, c + i, which), weight(row, c + i), of_parity[i % 2]));
            sum = cpu::flushed(sum + cpu::flushed(of_parity[0] + of_parity[1]));
          }
        total = std::fma(sum, static_cast<float>(of.scale(row, begin)), total);
      }
      y.push_back(total);
    }
  return y;
}

TEST_CASE("a number is cut in two parts of BF16 that leave out 2^-17 of it") {
  const auto check = [](float x) {
    CAPTURE(x);
    const Parts parts = parts_of(x);
    if (std::isnan(x)) {
      CHECK(std::isnan(parts.high));
      CHECK(parts.low == 0);
      return;
    }
    if (std::isinf(x)) {
      CHECK(parts.high == x);
      CHECK(parts.low == 0);
      return;
    }
    const double left_out = std::abs(double{x} - double{parts.high} - double{parts.low});
    // Below 2^-117 the low part is a subnormal number, whose last bit is 2^-133.
    CHECK(left_out <= std::max(0x1.02p-17 * std::abs(double{x}), 0x1p-134));
    CHECK(std::abs(double{parts.low}) <= std::max(0x1p-7 * std::abs(double{x}), 0x1p-134));
    CHECK(std::signbit(parts.high) == std::signbit(x));
  };
  const float most = std::numeric_limits<float>::max();
  const float values[] = {0,
                          1,
                          0x1.01p0f,
                          0x1.03p0f,
                          0x1.fffffep0f,
                          0x1p-126f,
                          0x1p-149f,
                          0x1.fep127f,
                          0x1.fefffep127f,
                          0x1.ffp127f,
                          most,
                          infinity,
                          std::bit_cast<float>(0x7f800001u),
                          std::bit_cast<float>(0x7fffffffu)};
  for (const float value : values) {
    check(value);
    check(-value);
  }
  std::uint32_t seed = 3;
  for (int i = 0; i < 200'000; ++i) {
    seed = seed * 1664525u + 1013904223u;
    check(std::bit_cast<float>(seed ^ seed >> 13));
  }
  // What BF16 holds goes into the first part alone.
  for (std::uint32_t code = 0; code < 0x7f80; ++code) {
    const float x = widen_bf16(static_cast<std::uint16_t>(code));
    REQUIRE(parts_of(x).high == x);
    REQUIRE(parts_of(x).low == 0);
  }
}

TEST_CASE("packed rows end in zeros behind the last column") {
  const Values x = made_up(200, 1, 5);
  alignas(64) std::byte to[2 * cpu::packed_bytes];
  std::memset(to, 0x7f, sizeof to);
  cpu::pack_parts({.x = x.data(), .x_stride = 100, .rows = 2, .columns = 37, .to = to});
  for (int row = 0; row < 2; ++row)
    for (int part = 0; part < 2; ++part)
      for (int c = 0; c < cpu::blocked_columns; ++c) {
        std::uint16_t code;
        std::memcpy(&code, to + row * cpu::packed_bytes + part * cpu::part_bytes + 2 * c, 2);
        float expected = 0;
        if (c < 37) {
          const Parts parts = parts_of(x[static_cast<std::size_t>(row * 100 + c)]);
          expected = part == 0 ? parts.high : parts.low;
        }
        REQUIRE(widen_bf16(code) == expected);
      }
}

TEST_CASE("a product in two parts has its definition's bits and is as near as that promises") {
  for (const BlockedShape shape : awkward_shapes)
    for (const DType type : two_part_types) {
      CAPTURE(shape.rows);
      CAPTURE(shape.cols);
      CAPTURE(shape.activations);
      CAPTURE(static_cast<int>(type));
      const BlockedCase operands(type, shape.rows, shape.cols, shape.activations);
      const Values y = everywhere_in_two_parts([&](Device& d) { return operands.product(d); });
      CHECK(difference(y, defined(operands)) == "");
      const Exact exact = operands.exact(), magnitudes = operands.exact(true);
      double worst = 0;
      for (std::size_t i = 0; i < y.size(); ++i)
        worst = std::max(worst, std::abs(double{y[i]} - exact[i]) / magnitudes[i]);
      CHECK(worst <= 0x1p-16);
    }
}

TEST_CASE("F32 and F16 weights keep F32's bits beside products in two parts") {
  for (const DType type : {DType::f32, DType::f16})
    for (const BlockedShape shape : {BlockedShape{130, 300, 12}, {65, 255, 8}, {5, 40, 70}}) {
      const BlockedCase operands(type, shape.rows, shape.cols, shape.activations);
      const Values y = everywhere_in_two_parts([&](Device& d) { return operands.product(d); });
      Device plain(backend(Isa::scalar, 1), 0);
      CHECK(difference(y, operands.product(plain)) == "");
    }
}

TEST_CASE("registers as wide as AVX-512's give the bits of F32's definition in all formats") {
  constexpr cpu::BlockedTable table = cpu::blocked_table;
  CHECK(cpu::agrees(table));
}

TEST_CASE("a row's bits in a product in two parts are the same alone and beside any others") {
  for (const DType type : two_part_types) {
    const BlockedCase operands(type, 70, 300, 67);
    const Values together = everywhere_in_two_parts([&](Device& d) { return operands.product(d); });
    for (const int count : {1, 2, 5, 15, 16, 17, 31, 32, 33, 47, 48, 49, 66})
      for (int first = 0; first + count <= operands.activations; first += count) {
        CAPTURE(count);
        CAPTURE(first);
        const Values some =
            everywhere_in_two_parts([&](Device& d) { return operands.product(d, first, count); });
        const auto begin = together.begin() + first * operands.rows;
        CHECK(difference(some, Values(begin, begin + count * operands.rows)) == "");
        if (count < 5 && first >= 10) break;
      }
  }
}

TEST_CASE("every code of F8 is widened to its value in a product in two parts") {
  check_every_code(everywhere_in_two_parts);
}

TEST_CASE("infinities and NaN stay in their own row of a product in two parts") {
  for (const int activations : {3, 14, 40}) {
    BlockedCase operands(DType::f8_e4m3, 20, 200, activations);
    operands.codes[5] = std::byte{0x7f};
    operands.codes[3 * 200 + 7] = std::byte{0};
    operands.x[7] = infinity;
    operands.x[2 * 200 + 8] = std::nanf("");
    const Values y = everywhere_in_two_parts([&](Device& d) { return operands.product(d); });
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

TEST_CASE("the largest numbers do not become infinite when they are cut in two") {
  BlockedCase operands(DType::bf16, 1, 2, 1);
  const std::uint16_t half = 0x3f00;
  std::memcpy(operands.codes.data(), &half, 2);
  std::memcpy(operands.codes.data() + 2, &half, 2);
  operands.x = {std::numeric_limits<float>::max(), -0x1p127f};
  const Values y = everywhere_in_two_parts([&](Device& d) { return operands.product(d); });
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

TEST_CASE("two parts come a thousand times nearer than one, and leave golden results as they are") {
  // A column of a hidden layer's width, activations as behind a norm with outliers.
  BlockedCase operands(DType::f8_e4m3, 64, 2048, 8);
  for (std::size_t i = 0; i < operands.x.size(); i += 97) operands.x[i] *= 40;
  const Exact exact = operands.exact();
  const Values two = everywhere_in_two_parts([&](Device& d) { return operands.product(d); });
  Device plain(backend(Isa::scalar, 1), 0);
  const Values f32 = operands.product(plain);
  BlockedCase rounded = operands;
  for (float& x : rounded.x) x = parts_of(x).high;
  const Values one = everywhere_in_two_parts([&](Device& d) { return rounded.product(d); });
  const double error = relative_error(two, exact);
  CAPTURE(error);
  CAPTURE(relative_error(f32, exact));
  CAPTURE(relative_error(one, exact));
  CHECK(error < 4e-6);  // golden results are compared to 1e-3
  CHECK(error * 250 < relative_error(one, exact));
}

void without_low_parts(const cpu::Packing& p) {
  cpu::pack_parts(p);
  for (std::int64_t r = 0; r < p.rows; ++r)
    std::memset(p.to + r * cpu::packed_bytes + cpu::part_bytes, 0, cpu::part_bytes);
}

void wrong_last(const cpu::BlockedProduct& p) {
  cpu::software_blocked.product[cpu::format_bf16](p);
  p.y[p.last - 1] *= 1.001f;
}

TEST_CASE("a table in two parts that is not near enough is found out") {
  cpu::BlockedTable wrong = cpu::software_blocked;
  CHECK(cpu::agrees(wrong));
  wrong.pack[cpu::format_f8] = without_low_parts;
  CHECK_FALSE(cpu::agrees(wrong));
  wrong = cpu::software_blocked;
  wrong.product[cpu::format_bf16] = wrong_last;
  CHECK_FALSE(cpu::agrees(wrong));
  wrong = cpu::software_blocked;
  wrong.two_parts = false;
  CHECK_FALSE(cpu::agrees(wrong));
}

TEST_CASE("a backend on AMX says that its blocked products are in two parts") {
  if (!host_has(Isa::amx)) {
    MESSAGE("skipped amx: this processor does not have it");
    return;
  }
  CpuChoice choice;
  const std::unique_ptr<Backend> opened = open_cpu(1, Isa::amx, choice);
  CHECK(choice.blocked == "amx bf16x2");
  CHECK(choice.isa == Isa::amx);
  CHECK(choice.notes.empty());
  CHECK(opened->numerics() == "blocked bf16x2");
}

}  // namespace
}  // namespace hearth::kernels::test
