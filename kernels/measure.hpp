// How fast this machine reads memory and multiplies at all: what the speed of everything else is
// compared with.
#pragma once

#include "kernels/ops.hpp"

namespace hearth::kernels {

// Bytes a second that `threads` threads read from memory together, by the best of several ways of
// reading. Takes about a second and 256 MiB.
double read_bandwidth(int threads);

// F32 operations a second (a fused multiply-add counts two) with everything in registers.
double arithmetic_peak(int threads, Isa isa);

}  // namespace hearth::kernels
