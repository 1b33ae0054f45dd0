// The 32 lanes of a sum as the 32 threads of a warp, folded by halves as the reference summation
// order wants it (ops.hpp). All threads of the warp call these, and all get the result.
#pragma once

#include "kernels/cpu/rows/table.hpp"
#include "kernels/cuda/thread.cuh"

namespace hearth::kernels::cuda {

static_assert(cpu::lanes == warp);

HEARTH_DEVICE float larger(float a, float b) {
  return a > b ? a : b;
}

// Lanes that have no partner above them compute what nobody uses.
HEARTH_DEVICE float fold_sum(float x) {
  for (int half = warp / 2; half > 0; half /= 2) x = x + from_lane(x, (lane() + half) % warp);
  return from_lane(x, 0);
}

// Four of the 32 lanes in each of eight threads, folded by halves: the lanes 16, 8 and 4 further on
// are in the threads 4, 2 and 1 further on. The sum is in the first of the eight.
constexpr int sum_parts = 8;
struct Quarter {
  float lane[cpu::lanes / sum_parts];
};
HEARTH_DEVICE float fold_sum(Quarter x) {
  static_assert(sizeof x.lane == 4 * sizeof(float));
  const int first = lane() / sum_parts * sum_parts;
  for (int half = sum_parts / 2; half > 0; half /= 2) {
    const Quarter other = from_lane(x, first + (lane() + half) % sum_parts);
    for (int i = 0; i < 4; ++i) x.lane[i] = x.lane[i] + other.lane[i];
  }
  return (x.lane[0] + x.lane[2]) + (x.lane[1] + x.lane[3]);
}

HEARTH_DEVICE float fold_larger(float x) {
  for (int half = warp / 2; half > 0; half /= 2)
    x = larger(x, from_lane(x, (lane() + half) % warp));
  return from_lane(x, 0);
}

}  // namespace hearth::kernels::cuda
