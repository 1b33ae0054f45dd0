// The registers that the GEMMs are written over (kernels/cpu/gemm/panels.hpp), as
// plain arrays of the size of AVX-512's: with them the vector code of that width runs on any
// machine. Part of software_tables.cpp.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/gemm/gemm.hpp"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cpu {
namespace {

constexpr int width = 16;
constexpr int lane_count = 4;
constexpr int tile_rows = 12;
constexpr int tile_vectors(int rows) {
  return rows <= 5 ? 4 : 2;
}

struct Floats {
  float values[width];
};
struct Codes {
  std::uint8_t bytes[64];
};
struct Halves {
  Codes low;
  Codes high;
};

Floats set(float x) {
  Floats result;
  for (float& value : result.values) value = x;
  return result;
}
Floats zero() {
  return set(0);
}
Floats fma(const Floats& x, const Floats& y, const Floats& z) {
  Floats result;
  for (int i = 0; i < width; ++i)
    result.values[i] = std::fma(x.values[i], y.values[i], z.values[i]);
  return result;
}
Floats load_floats(const void* p) {
  Floats result;
  std::memcpy(&result, p, sizeof result);
  return result;
}
void store_floats(float* p, const Floats& x) {
  std::memcpy(p, &x, sizeof x);
}

Codes load_codes(const void* p) {
  Codes result;
  std::memcpy(&result, p, sizeof result);
  return result;
}
void store_codes(void* p, const Codes& x) {
  std::memcpy(p, &x, sizeof x);
}

// Value i of sixteen BF16 or F16 codes that lie `step` codes apart.
template <class Widen>
Floats widened(const void* p, int first, int step, Widen widen) {
  Floats result;
  for (int i = 0; i < width; ++i) {
    std::uint16_t code = 0;
    std::memcpy(&code, static_cast<const char*>(p) + 2 * (first + i * step), sizeof code);
    result.values[i] = widen(code);
  }
  return result;
}
Floats lower_half(const void* p) {
  return widened(p, 0, 2, widen_bf16);
}
Floats upper_half(const void* p) {
  return widened(p, 1, 2, widen_bf16);
}
Codes load_f16(const void* p) {
  const Floats values = widened(p, 0, 1, widen_f16);
  return load_codes(&values);
}

// In each lane, items of x and y in turn: of the lane's lower 8 bytes or of its upper ones.
template <int size>
Codes interleaved(const Codes& x, const Codes& y, int half) {
  Codes result;
  for (int lane = 0; lane < lane_count; ++lane)
    for (int i = 0; i < 8; i += size) {
      const int from = 16 * lane + 8 * half + i, to = 16 * lane + 2 * i;
      std::memcpy(result.bytes + to, x.bytes + from, size);
      std::memcpy(result.bytes + to + size, y.bytes + from, size);
    }
  return result;
}
Codes unpack_low_8(const Codes& x, const Codes& y) {
  return interleaved<1>(x, y, 0);
}
Codes unpack_high_8(const Codes& x, const Codes& y) {
  return interleaved<1>(x, y, 1);
}
Codes unpack_low_16(const Codes& x, const Codes& y) {
  return interleaved<2>(x, y, 0);
}
Codes unpack_high_16(const Codes& x, const Codes& y) {
  return interleaved<2>(x, y, 1);
}
Codes unpack_low_32(const Codes& x, const Codes& y) {
  return interleaved<4>(x, y, 0);
}
Codes unpack_high_32(const Codes& x, const Codes& y) {
  return interleaved<4>(x, y, 1);
}
Codes unpack_low_64(const Codes& x, const Codes& y) {
  return interleaved<8>(x, y, 0);
}
Codes unpack_high_64(const Codes& x, const Codes& y) {
  return interleaved<8>(x, y, 1);
}

// Lane i of rows[j] and lane j of rows[i] change places.
void transpose_lanes(Codes (&rows)[lane_count]) {
  Codes result[lane_count];
  for (int i = 0; i < lane_count; ++i)
    for (int j = 0; j < lane_count; ++j)
      std::memcpy(result[i].bytes + 16 * j, rows[j].bytes + 16 * i, 16);
  std::memcpy(rows, result, sizeof result);
}

Codes spread_halves(const Codes& x) {
  Codes result;
  for (int i = 0; i < 4; ++i) {
    std::memcpy(result.bytes + 16 * i, x.bytes + 8 * i, 8);
    std::memcpy(result.bytes + 16 * i + 8, x.bytes + 32 + 8 * i, 8);
  }
  return result;
}

Halves f8_to_bf16(const Codes& codes) {
  Halves result;
  for (int i = 0; i < 64; ++i) {
    const float value = widen_f8(codes.bytes[i]);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    result.low.bytes[i] = static_cast<std::uint8_t>(bits >> 16);
    result.high.bytes[i] = static_cast<std::uint8_t>(bits >> 24);
  }
  return result;
}

}  // namespace
}  // namespace hearth::kernels::cpu
