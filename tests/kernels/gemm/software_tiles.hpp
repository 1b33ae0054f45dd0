// The tiles that the GEMMs on AMX are written over (kernels/cpu/gemm/bf16x3.hpp), in
// plain code. Part of software_tables.cpp.
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "tests/kernels/gemm/software_tile.hpp"

namespace hearth::kernels::cpu {
namespace {

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
    test::Tile& tile = tiles_[to];
    for (int row = 0; row < tile.rows; ++row) std::memcpy(tile.bytes[row], from + row * stride, 64);
  }
  template <int from>
  void store(float* to, std::int64_t stride) {
    const test::Tile& tile = tiles_[from];
    for (int row = 0; row < tile.rows; ++row)
      std::memcpy(reinterpret_cast<char*>(to) + row * stride, tile.bytes[row], 64);
  }
  template <int sums, int left, int right>
  void multiply_add() {
    test::multiply_add(tiles_[sums], tiles_[left], tiles_[right]);
  }

 private:
  test::Tile tiles_[8];
};

}  // namespace
}  // namespace hearth::kernels::cpu
