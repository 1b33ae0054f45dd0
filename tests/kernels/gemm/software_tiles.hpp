// AMX's tiles in plain code: TDPBF16PS as the processor's manual describes it. Part of
// blocked_amx_test.cpp.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "kernels/numeric.hpp"

namespace hearth::kernels::cpu {
namespace {

// Subnormal operands and results count as zero.
inline float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

class Tiles {
 public:
  explicit Tiles(int height) {
    if (height < 1 || height > 16) throw std::logic_error("a tile has 1 to 16 rows");
    for (int i = 0; i < 8; ++i) tiles_[i].rows = i < 6 ? height : 16;
  }

  template <int to>
  void zero() {
    std::memset(tiles_[to].bytes, 0, sizeof tiles_[to].bytes);
  }
  template <int to>
  void load(const char* from, std::int64_t stride) {
    Tile& tile = tiles_[to];
    for (int row = 0; row < tile.rows; ++row) std::memcpy(tile.bytes[row], from + row * stride, 64);
  }
  template <int from>
  void store(float* to, std::int64_t stride) {
    const Tile& tile = tiles_[from];
    for (int row = 0; row < tile.rows; ++row)
      std::memcpy(reinterpret_cast<char*>(to) + row * stride, tile.bytes[row], 64);
  }
  template <int sums, int x, int w>
  void multiply_add() {
    Tile& c = tiles_[sums];
    const Tile& a = tiles_[x];
    const Tile& b = tiles_[w];
    for (int m = 0; m < c.rows; ++m) {
      float even[16] = {}, odd[16] = {};
      for (int k = 0; k < b.rows; ++k)
        for (int n = 0; n < 16; ++n) {
          even[n] = flushed(std::fma(a.bf16(m, 2 * k), b.bf16(k, 2 * n), even[n]));
          odd[n] = flushed(std::fma(a.bf16(m, 2 * k + 1), b.bf16(k, 2 * n + 1), odd[n]));
        }
      for (int n = 0; n < 16; ++n) {
        float sum;
        std::memcpy(&sum, c.bytes[m] + 4 * n, sizeof sum);
        sum = flushed(flushed(sum) + flushed(even[n] + odd[n]));
        std::memcpy(c.bytes[m] + 4 * n, &sum, sizeof sum);
      }
    }
  }

 private:
  struct Tile {
    int rows = 0;
    unsigned char bytes[16][64] = {};

    float bf16(int row, int column) const {
      std::uint16_t code;
      std::memcpy(&code, bytes[row] + 2 * column, sizeof code);
      return flushed(widen_bf16(code));
    }
  };
  Tile tiles_[8];
};

}  // namespace
}  // namespace hearth::kernels::cpu
