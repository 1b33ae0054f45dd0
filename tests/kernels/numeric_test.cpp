// The scalar formulas against the mathematics: number formats code by code, exp by ulps.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/numeric.hpp"
#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

// Every code of a format, once.
std::vector<std::byte> all_codes(DType type) {
  const std::size_t count = type == DType::f8_e4m3 ? 256 : 65536;
  std::vector<std::byte> codes(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) std::memcpy(&codes[i * size_of(type)], &i, size_of(type));
  return codes;
}

// Distance of x from the exact value, in units of the last place of a float of that size.
double ulps(float x, double exact) {
  const double size = std::max(std::abs(exact), double{std::numeric_limits<float>::min()});
  const double unit = std::ldexp(1.0, std::ilogb(size) - 23);
  return std::abs(double{x} - exact) / unit;
}

TEST_CASE("every code of every format widens exactly, on every ISA") {
  for (const DType type : {DType::f8_e4m3, DType::f16, DType::bf16}) {
    const std::vector<std::byte> codes = all_codes(type);
    const auto count = static_cast<std::int64_t>(codes.size() / size_of(type));
    const Values scales(type == DType::f8_e4m3 ? 2 : 0, 1.0f);
    const Values widened = everywhere([&](TestDevice& d) {
      const Slice out = d.room(count);
      d->embed(d.matrix(type, 1, count, codes, scales), std::vector<std::int32_t>{0}, out);
      return d.get(out);
    });
    int wrong = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double exact = decoded(type, codes, i);
      const float value = widened[static_cast<std::size_t>(i)];
      const bool right = std::isnan(exact)
                             ? std::isnan(value)
                             : value == exact && std::signbit(value) == std::signbit(exact);
      wrong += right ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("the NaN codes of e4m3 are 0x7f and 0xff and no others") {
  for (int code = 0; code < 256; ++code)
    CHECK(std::isnan(widen_f8(static_cast<std::uint8_t>(code))) == ((code & 0x7f) == 0x7f));
  CHECK(widen_f8(0x7e) == 448.0f);
  CHECK(widen_f8(0x01) == 0x1p-9f);
}

TEST_CASE("every finite f16 comes back from f32") {
  int wrong = 0;
  for (std::uint32_t code = 0; code < 65536; ++code) {
    if ((code & 0x7c00u) == 0x7c00u) continue;
    wrong += narrow_f16(widen_f16(static_cast<std::uint16_t>(code))) == code ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("narrowing to f16 takes the nearest code, the even one of two") {
  int wrong = 0;
  for (std::uint32_t code = 0; code < 0x7bffu; ++code) {
    const float below = widen_f16(static_cast<std::uint16_t>(code));
    const float above = widen_f16(static_cast<std::uint16_t>(code + 1));
    const float middle = (below + above) / 2;
    const std::uint32_t even = code % 2 == 0 ? code : code + 1;
    wrong += narrow_f16(middle) == even ? 0 : 1;
    wrong += narrow_f16(std::nextafter(middle, below)) == code ? 0 : 1;
    wrong += narrow_f16(std::nextafter(middle, above)) == code + 1 ? 0 : 1;
    wrong += narrow_f16(-middle) == (even | 0x8000u) ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("f16 holds what lies between -65504 and 65504") {
  CHECK(fits_f16(65504.0f));
  CHECK(fits_f16(-65504.0f));
  CHECK_FALSE(fits_f16(std::nextafter(65504.0f, 1e9f)));
  CHECK_FALSE(fits_f16(-HUGE_VALF));
  CHECK_FALSE(fits_f16(std::nanf("")));
}

TEST_CASE("exp is right to one unit of the last place over all floats") {
  double worst = 0;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 2039) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (std::isnan(x)) {
      CHECK(std::isnan(exp_f32(x)));
      continue;
    }
    const double exact = std::exp(double{x});
    const float value = exp_f32(x);
    if (exact > std::numeric_limits<float>::max())
      CHECK(value == HUGE_VALF);
    else
      worst = std::max(worst, ulps(value, exact));
  }
  CHECK(worst <= 1.0);
}

TEST_CASE("exp at its ends") {
  CHECK(exp_f32(0.0f) == 1.0f);
  CHECK(exp_f32(-0.0f) == 1.0f);
  CHECK(exp_f32(-HUGE_VALF) == 0.0f);
  CHECK(exp_f32(HUGE_VALF) == HUGE_VALF);
  CHECK(exp_f32(88.72f) < HUGE_VALF);
  CHECK(exp_f32(88.73f) == HUGE_VALF);
  CHECK(exp_f32(-103.0f) == std::numeric_limits<float>::denorm_min());
  CHECK(exp_f32(-104.0f) == 0.0f);
}

TEST_CASE("sigmoid, silu and softplus follow their formulas") {
  for (float x = -87; x < 90; x += 0.0137f) {
    const double e = std::exp(-double{x});
    CHECK(ulps(sigmoid(x), 1 / (1 + e)) <= 3);
    CHECK(ulps(silu(x), x / (1 + e)) <= 3);
    CHECK(ulps(softplus(x), std::log1p(std::exp(double{x}))) <= 3);
  }
  CHECK(sigmoid(-200.0f) == 0.0f);
  CHECK(silu(-200.0f) == 0.0f);
  CHECK(softplus(-200.0f) == 0.0f);
}

}  // namespace
}  // namespace hearth::kernels::test
