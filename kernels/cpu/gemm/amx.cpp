// The GEMMs on AMX: in three parts of BF16 where the weights are BF16 or F8, else on
// AVX-512. All processors with AMX have VBMI.
#include "kernels/cpu/gemm/amx_tiles.hpp"
#include "kernels/cpu/gemm/avx512_vbmi.hpp"
// After the registers and the tiles that it is written over.
#include "kernels/cpu/gemm/bf16x3.hpp"

namespace hearth::kernels::cpu {
constinit const GemmTable amx_gemm = table_in_parts;
}
