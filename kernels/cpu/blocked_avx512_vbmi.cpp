// The blocked products on AVX-512 with VBMI.
#include "kernels/cpu/blocked_avx512_vbmi.hpp"

#include "kernels/cpu/blocked_vector.hpp"

namespace hearth::kernels::cpu {
constinit const BlockedTable avx512_vbmi_blocked = blocked_table;
}
