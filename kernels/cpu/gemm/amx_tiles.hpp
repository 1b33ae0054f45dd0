// The processor's tiles, for what is written over tiles (bf16x3.hpp). Part of
// amx.cpp; what panels.hpp says of linkage holds here.
#include <cstdint>

namespace hearth::kernels::cpu {
namespace {

// Instructions name the tiles by number, which the compilers' own functions take as text; hence
// assembly. It is volatile, so it stays in order, and what touches memory says so.
//   They are set up for every product anew and released behind it. A product is a piece of less
// than 5 ms, thousands of times what that takes, so nothing is won by leaving them; and a thread
// whose tiles are released has nothing in them that a switch to another would have to save (8 KiB).
class Tiles {
 public:
  explicit Tiles(int height) {
    struct alignas(64) {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } shapes;
    static_assert(sizeof shapes == 64);
    for (int tile = 0; tile < 8; ++tile) {
      shapes.row_bytes[tile] = 64;
      shapes.rows[tile] = static_cast<std::uint8_t>(tile < 6 ? height : 16);
    }
    asm volatile("ldtilecfg %0" : : "m"(shapes));
  }
  ~Tiles() { asm volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int to>
  void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(to));
  }
  template <int to>
  void load(const char* from, std::int64_t stride) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(to), "r"(from), "r"(stride) : "memory");
  }
  template <int from>
  void store(float* to, std::int64_t stride) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(from), "r"(to), "r"(stride) : "memory");
  }
  template <int sums, int left, int right>
  void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(left), "i"(right));
  }
};

}  // namespace
}  // namespace hearth::kernels::cpu
