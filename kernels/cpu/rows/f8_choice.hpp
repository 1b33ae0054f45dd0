// Whether AVX2's F8 product may take subnormal codes as subnormal numbers (avx2_f8.cpp), or should
// go through F16 (vector_f8.hpp): both give the same bits. Some processors stop for every operation
// on a subnormal number, for a hundred cycles and more, and of the codes of block-scaled weights
// about one in ten thousand is one.
#pragma once

#include <vector>

#include "kernels/cpu/rows/selfcheck.hpp"
#include "kernels/cpu/rows/table.hpp"

namespace hearth::kernels::cpu {

// Seconds of one F8 product in the core's cache.
struct F8Times {
  double without = 0;  // subnormal codes
  double with = 0;     // one code in a thousand is subnormal
};

F8Times time_f8(const Table& table);
// The speed of avx2_table on this machine, measured once.
F8Times f8_times_of_host();

// Whether one in a thousand costs more than a tenth.
constexpr bool subnormals_are_dear(const F8Times& times) {
  return times.with > 1.1 * times.without;
}

// What is tried for AVX2, the best first.
std::vector<NamedTable> avx2_tables(const F8Times& times);

}  // namespace hearth::kernels::cpu
