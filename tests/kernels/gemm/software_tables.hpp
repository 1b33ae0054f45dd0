// The GEMMs on tiles with tiles and registers in plain code, for every machine: the
// algorithm and the layouts are AMX's, the instructions are not.
#pragma once

#include "kernels/cpu/gemm/gemm.hpp"

namespace hearth::kernels::test {

extern const cpu::GemmTable software_tiles;  // that of amx_gemm, the definition bf16x3
extern const cpu::GemmTable software_two_parts;
// F32's definition on registers as wide as AVX-512's.
extern const cpu::GemmTable software_registers;

}  // namespace hearth::kernels::test
