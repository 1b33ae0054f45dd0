#include "tests/kernels/gemm/software_tables.hpp"

#include "tests/kernels/gemm/plain_registers.hpp"
#include "tests/kernels/gemm/software_tiles.hpp"
// After the registers and the tiles that they are written over.
#include "kernels/cpu/gemm/bf16x3.hpp"
// And that as well.
#include "tests/kernels/gemm/two_parts.hpp"

namespace hearth::kernels::test {
namespace {

// Smaller pieces: tiles in software are slow.
constexpr cpu::GemmTable slower(cpu::GemmTable table) {
  table.piece_work /= 64;
  return table;
}

}  // namespace

const cpu::GemmTable software_tiles = slower(cpu::table_in_parts);
const cpu::GemmTable software_two_parts = slower(cpu::two_parts::table);
const cpu::GemmTable software_registers = slower(cpu::gemm_table);

}  // namespace hearth::kernels::test
