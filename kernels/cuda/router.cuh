// The router's softmax and its picks: a row is one warp's.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/norms.cuh"

namespace hearth::kernels::cuda {

HEARTH_KERNEL void softmax(const Softmax a) {
  const std::int64_t row = own_warp();
  if (row >= a.rows) return;
  float* const x = a.x + row * a.dim;
  float top = -__builtin_inff();
  for (int i = lane(); i < a.dim; i += warp) top = larger(top, x[i]);
  top = fold_larger(top);
  float sum = 0;
  for (int i = lane(); i < a.dim; i += warp) {
    x[i] = exp_f32(x[i] - top);
    sum = sum + x[i];
  }
  sum = fold_sum(sum);
  for (int i = lane(); i < a.dim; i += warp) x[i] = x[i] / sum;
}

struct Pick {
  float value;
  int id;  // < 0: none
};

// The larger value, the lower index among equals; NaN is less than every number.
HEARTH_DEVICE bool comes_before(const Pick& a, const Pick& b) {
  if (a.value > b.value) return true;
  if (a.value < b.value) return false;
  const bool a_nan = a.value != a.value;
  const bool b_nan = b.value != b.value;
  return a_nan != b_nan ? b_nan : a.id < b.id;
}

HEARTH_DEVICE Pick better(const Pick& a, const Pick& b) {
  if (a.id < 0 || b.id < 0) return a.id < 0 ? b : a;
  return comes_before(b, a) ? b : a;
}

// Each pick is the first of those that come after the one before it.
HEARTH_KERNEL void top_k(const TopK a) {
  const std::int64_t row = own_warp();
  if (row >= a.rows) return;
  const float* const x = a.x + row * a.dim;
  Pick last{0, -1};
  for (int pick = 0; pick < a.k; ++pick) {
    Pick best{0, -1};
    for (int i = lane(); i < a.dim; i += warp) {
      const Pick candidate{x[i], i};
      if (last.id < 0 || comes_before(last, candidate)) best = better(best, candidate);
    }
    for (int half = warp / 2; half > 0; half /= 2) {
      const int from = (lane() + half) % warp;
      best = better(best, from_lane(best, from));
    }
    last = from_lane(best, 0);
    if (lane() == 0) {
      a.ids[row * a.k + pick] = last.id;
      a.values[row * a.k + pick] = last.value;
    }
  }
}

}  // namespace hearth::kernels::cuda
