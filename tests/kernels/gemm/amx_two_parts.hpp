// Two parts of BF16 on the processor's tiles: what bench-prefill holds three against.
#pragma once

#include "kernels/cpu/gemm/gemm.hpp"

namespace hearth::kernels::test {

extern const cpu::GemmTable amx_two_parts;  // for processors with AMX

}  // namespace hearth::kernels::test
