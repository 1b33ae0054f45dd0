#include "tests/kernels/gemm/amx_two_parts.hpp"

#include "kernels/cpu/gemm/amx_tiles.hpp"
#include "kernels/cpu/gemm/avx512_vbmi.hpp"
// After the registers and the tiles that they are written over.
#include "kernels/cpu/gemm/bf16x3.hpp"
// And that as well.
#include "tests/kernels/gemm/two_parts.hpp"

namespace hearth::kernels::test {

constinit const cpu::GemmTable amx_two_parts = cpu::two_parts::table;

}  // namespace hearth::kernels::test
