// The blocked products on AMX: in two parts of BF16 where the weights are BF16 or F8, else on
// AVX-512. All processors with AMX have VBMI.
#include "kernels/cpu/blocked_avx512_vbmi.hpp"

#include "kernels/cpu/blocked_vector.hpp"

namespace hearth::kernels::cpu {
namespace {

// The processor's tiles. Instructions name them by number, which the compilers' own functions take
// as text; hence assembly. It is volatile, so it stays in order, and what touches memory says so.
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
  void load(const char* from, Index stride) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(to), "r"(from), "r"(stride) : "memory");
  }
  template <int from>
  void store(float* to, Index stride) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(from), "r"(to), "r"(stride) : "memory");
  }
  template <int sums, int x, int w>
  void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(x), "i"(w));
  }
};

}  // namespace
}  // namespace hearth::kernels::cpu

#include "kernels/cpu/blocked_bf16x2.hpp"

namespace hearth::kernels::cpu {
constinit const BlockedTable amx_blocked = {
    .two_parts = true,
    .piece_work = blocked_table.piece_work,
    .pack = {pack, pack, pack_parts, pack_parts},
    .product = {blocked_product<F32>, blocked_product<F16>, two_part_product<Bf16>,
                two_part_product<F8>},
};
}
