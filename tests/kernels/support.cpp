// See support.hpp.
#include "tests/kernels/support.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include "tests/kernels/cuda/emulated_runtime.hpp"

namespace hearth::kernels::test {
namespace {

std::uint32_t next(std::uint32_t& state) {
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

constexpr float unwritten = -12345.678f;

}  // namespace

Values made_up(std::int64_t count, float scale, std::uint32_t seed) {
  Values result(static_cast<std::size_t>(count));
  for (float& value : result) value = (static_cast<float>(next(seed)) * 0x1p-23f - 1.0f) * scale;
  return result;
}

std::vector<std::byte> made_up_codes(DType type, std::int64_t count, std::uint32_t seed) {
  std::vector<std::byte> codes(static_cast<std::size_t>(count) * size_of(type));
  if (type == DType::f32) {
    std::memcpy(codes.data(), made_up(count, 1, seed).data(), codes.size());
    return codes;
  }
  for (std::size_t i = 0; i < codes.size(); ++i) {
    std::uint32_t byte = next(seed) >> 8 & 0xffu;
    const bool high = i % size_of(type) == size_of(type) - 1;
    if (type == DType::f8_e4m3 && (byte & 0x7fu) == 0x7fu) byte ^= 1u;
    if (type == DType::f16 && high) byte &= 0xbbu;                   // exponent below 15: |x| < 1
    if (type == DType::bf16 && high) byte = (byte & 0x81u) | 0x3eu;  // 2^-3 … 1
    codes[i] = static_cast<std::byte>(byte);
  }
  return codes;
}

double decoded(DType type, const std::vector<std::byte>& codes, std::int64_t i) {
  const std::byte* const at = codes.data() + i * static_cast<std::int64_t>(size_of(type));
  if (type == DType::f32) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  std::uint16_t code = 0;
  std::memcpy(&code, at, size_of(type));
  const int exponent_bits = type == DType::bf16 ? 8 : type == DType::f16 ? 5 : 4;
  const int fraction_bits = type == DType::bf16 ? 7 : type == DType::f16 ? 10 : 3;
  const int fraction = code & ((1 << fraction_bits) - 1);
  const int exponent = code >> fraction_bits & ((1 << exponent_bits) - 1);
  const bool negative = (code >> (exponent_bits + fraction_bits)) != 0;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int highest = (1 << exponent_bits) - 1;
  double value = 0;
  if (type == DType::f8_e4m3 && exponent == highest && fraction == 7)
    value = std::nan("");
  else if (type != DType::f8_e4m3 && exponent == highest)
    value = fraction == 0 ? HUGE_VAL : std::nan("");
  else if (exponent == 0)
    value = std::ldexp(fraction, 1 - bias - fraction_bits);
  else
    value = std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
  return negative ? -value : value;
}

Slice TestDevice::put(const Values& values) {
  const Slice result = room(static_cast<std::int64_t>(values.size()));
  backend_.write(result, values);
  return result;
}

Slice TestDevice::room(std::int64_t count) {
  const auto values = static_cast<std::size_t>(count);
  const auto shift = static_cast<std::size_t>(shift_);
  buffers_.push_back(backend_.allocate((values + shift) * sizeof(float)));
  const Slice result = slice(buffers_.back(), shift * sizeof(float), values);
  backend_.write(result, Values(values, unwritten));
  return result;
}

std::size_t scale_index(ScaleForm form, std::int64_t cols, std::int64_t row, std::int64_t col) {
  switch (form) {
    case ScaleForm::blocks:
      return static_cast<std::size_t>(row / 128 * ((cols + 127) / 128) + col / 128);
    case ScaleForm::rows:
      return static_cast<std::size_t>(row);
    case ScaleForm::whole:
      break;
  }
  return 0;
}

Values TestDevice::get(Slice slice) {
  Values result(slice.size());
  backend_.read(slice, result);
  return result;
}

Matrix TestDevice::matrix(DType type, std::int64_t rows, std::int64_t cols,
                          const std::vector<std::byte>& codes, const Values& scales,
                          ScaleForm scale_form) {
  const Slice scale_window = scales.empty() ? Slice{} : put(scales);
  const auto shift = static_cast<std::size_t>(shift_);
  buffers_.push_back(backend_.allocate(codes.size() + shift));
  backend_.write(buffers_.back(), shift, codes);
  return {buffers_.back(), shift, type, rows, cols, scale_window, scale_form};
}

KvCache TestDevice::kv(DType type, std::int64_t capacity, int heads, int head_dim) {
  const auto bytes = static_cast<std::size_t>(capacity * heads * head_dim) * size_of(type);
  return {.keys = backend_.allocate(bytes),
          .values = backend_.allocate(bytes),
          .type = type,
          .capacity = capacity,
          .heads = heads,
          .head_dim = head_dim};
}

const std::vector<Isa>& host_isas() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> result;
    for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
      if (host_has(isa))
        result.push_back(isa);
      else
        MESSAGE("skipped ", std::string(name(isa)), ": this processor does not have it");
    }
    return result;
  }();
  return isas;
}

Backend& backend(Isa isa, int threads) {
  static std::map<std::pair<Isa, int>, std::unique_ptr<Backend>> opened;
  std::unique_ptr<Backend>& result = opened[{isa, threads}];
  if (result == nullptr) {
    CpuChoice choice;
    result = open_cpu(threads, isa, choice);
    for (const std::string& note : choice.notes) FAIL_CHECK(note);
  }
  return *result;
}

Values best(const Computation& compute) {
  TestDevice device(backend(host_isas().back(), 1), 0);
  return compute(device);
}

Values everywhere(const Computation& compute) {
  TestDevice plain(backend(Isa::scalar, 1), 0);
  const Values expected = compute(plain);
  struct Variant {
    int threads;
    int shift;
  };
  for (const Isa isa : host_isas()) {
    for (const Variant variant : {Variant{1, 1}, Variant{2, 0}, Variant{3, 5}, Variant{5, 3}}) {
      CAPTURE(name(isa));
      CAPTURE(variant.threads);
      TestDevice device(backend(isa, variant.threads), variant.shift);
      CHECK(difference(compute(device), expected) == "");
    }
  }
  if (Backend* const device = gpu(); device != nullptr) {
    static std::uint32_t seed = 1;
    const int shift = next(seed) % 2 == 0 ? 0 : 1;  // one is enough for each of many cases
    CAPTURE(shift);
    TestDevice on_device(*device, shift);
    const std::string on_cuda = difference(compute(on_device), expected);
    CHECK(on_cuda == "");
  }
  return expected;
}

Backend* gpu() {
  if (!cuda::can_emulate) return nullptr;
  static const std::unique_ptr<Backend> device =
      cuda::backend_under_test({Device::Kind::cuda, 0}, std::make_shared<cuda::EmulatedControl>());
  return device.get();
}

std::string difference(const Values& actual, const Values& expected) {
  if (actual.size() != expected.size()) return "different sizes";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(actual[i]) && std::isnan(expected[i])) continue;
    if (std::bit_cast<std::uint32_t>(actual[i]) == std::bit_cast<std::uint32_t>(expected[i]))
      continue;
    return "value " + std::to_string(i) + " of " + std::to_string(actual.size()) + " is " +
           std::to_string(actual[i]) + ", not " + std::to_string(expected[i]);
  }
  return "";
}

std::string deviation(const Values& actual, const Exact& expected, double relative,
                      double absolute) {
  if (actual.size() != expected.size()) return "different sizes";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double limit = absolute + relative * std::abs(expected[i]);
    if (!(std::abs(actual[i] - expected[i]) <= limit))
      return "value " + std::to_string(i) + " of " + std::to_string(actual.size()) + " is " +
             std::to_string(actual[i]) + ", not about " + std::to_string(expected[i]);
  }
  return "";
}

}  // namespace hearth::kernels::test
