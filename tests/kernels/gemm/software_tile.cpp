// Compiled with all optimisations, unlike other tests.
#include "tests/kernels/gemm/software_tile.hpp"

#include <cstring>

#include "kernels/ops.hpp"

namespace hearth::kernels::test {
namespace {

// Plain loops over the 16 columns, of which the compiler makes vectors.
inline __attribute__((always_inline)) void tile_product(Tile& sums, const Tile& left,
                                                        const Tile& right) {
  constexpr int side = 16;
  const auto wide = [](std::uint32_t bits) { return __builtin_bit_cast(float, flushed(bits)); };
  float even_of[side][side], odd_of[side][side];  // of the right operand's pairs
  for (int k = 0; k < side; ++k)
    for (int n = 0; n < side; ++n) {
      std::uint32_t pair;
      std::memcpy(&pair, right.bytes[k] + 4 * n, sizeof pair);
      even_of[k][n] = wide(pair << 16);
      odd_of[k][n] = wide(pair & 0xffff0000u);
    }
  for (int m = 0; m < sums.rows; ++m) {
    float even[side] = {}, odd[side] = {};
    for (int k = 0; k < side; ++k) {
      std::uint32_t pair;
      std::memcpy(&pair, left.bytes[m] + 4 * k, sizeof pair);
      const float first = wide(pair << 16), second = wide(pair & 0xffff0000u);
      for (int n = 0; n < side; ++n) {
        even[n] = flushed(__builtin_fmaf(first, even_of[k][n], even[n]));
        odd[n] = flushed(__builtin_fmaf(second, odd_of[k][n], odd[n]));
      }
    }
    for (int n = 0; n < side; ++n) {
      float sum;
      std::memcpy(&sum, sums.bytes[m] + 4 * n, sizeof sum);
      sum = flushed(flushed(sum) + flushed(even[n] + odd[n]));
      std::memcpy(sums.bytes[m] + 4 * n, &sum, sizeof sum);
    }
  }
}

// Twice, since without its instruction an fma is a slow call.
[[gnu::target("avx2,fma")]] void tile_product_avx2(Tile& sums, const Tile& left,
                                                   const Tile& right) {
  tile_product(sums, left, right);
}
void tile_product_plain(Tile& sums, const Tile& left, const Tile& right) {
  tile_product(sums, left, right);
}

}  // namespace

void multiply_add(Tile& sums, const Tile& left, const Tile& right) {
  static const auto product = host_has(Isa::avx2) ? tile_product_avx2 : tile_product_plain;
  product(sums, left, right);
}

}  // namespace hearth::kernels::test
