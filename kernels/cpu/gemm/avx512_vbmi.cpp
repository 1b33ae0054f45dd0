// The GEMMs on AVX-512 with VBMI.
#include "kernels/cpu/gemm/avx512_vbmi.hpp"

#include "kernels/cpu/gemm/vector.hpp"

namespace hearth::kernels::cpu {
constinit const GemmTable avx512_vbmi_gemm = gemm_table;
}
