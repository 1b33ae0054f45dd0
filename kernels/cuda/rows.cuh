// What moves rows about: embedding, gathering, scattering, splitting. A thread for each value, a
// row of blocks for each row.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/formats.cuh"

namespace hearth::kernels::cuda {

// The value of this thread in its row or array.
HEARTH_DEVICE std::int64_t own_value() {
  return block_x() * plain_threads + thread();
}

template <int format>
HEARTH_KERNEL void embed(const Embedding a) {
  const std::int64_t c = own_value();
  if (c >= a.w.cols) return;
  const std::int64_t row = a.ids.index[block_y()];
  float value = weight<format>(a.w.data, row * a.w.stride + c);
  if constexpr (format == cpu::format_f8)
    value *= cpu::row_scales(a.w, row)[c / cpu::scale_block * a.w.scale_step];
  a.out[block_y() * a.w.cols + c] = value;
}

HEARTH_KERNEL void gather_rows(const MoveRows a) {
  const std::int64_t c = own_value();
  if (c < a.dim)
    a.to[block_y() * a.dim + c] = a.from[std::int64_t{a.rows.index[block_y()]} * a.dim + c];
}

HEARTH_KERNEL void scatter_rows(const MoveRows a) {
  const std::int64_t c = own_value();
  if (c < a.dim)
    a.to[std::int64_t{a.rows.index[block_y()]} * a.dim + c] = a.from[block_y() * a.dim + c];
}

HEARTH_KERNEL void split_groups(const Split a) {
  const std::int64_t i = own_value();
  if (i >= a.rows * a.groups * a.width) return;
  std::int64_t c = i % a.width;
  const std::int64_t group = i / a.width % a.groups;
  const std::int64_t row = i / a.width / a.groups;
  int part = 0;
  for (; c >= a.part[part].width; ++part) c -= a.part[part].width;
  const Split::Part& to = a.part[part];
  to.out[row * to.stride + group * to.width + c] = a.in[i];
}

}  // namespace hearth::kernels::cuda
