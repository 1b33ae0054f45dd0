// Every kernel's text, and the table of them as the compiler that reads this makes them. A program
// may hold that of two compilers, so nothing here is shared between files.
#pragma once

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/delta_rule.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/gemv.cuh"
#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/norms.cuh"
#include "kernels/cuda/router.cuh"
#include "kernels/cuda/rows.cuh"

namespace hearth::kernels::cuda {

template <int format>
static void add_format(Kernels& all) {
  all.gemv[format][0] = HEARTH_ENTRY(gemv<format, gemv_rows[0], true>);
  all.gemv[format][1] = HEARTH_ENTRY(gemv<format, gemv_rows[1], true>);
  all.gemv[format][2] = HEARTH_ENTRY(gemv<format, gemv_rows[2], true>);
  all.gemv_unaligned[format] = HEARTH_ENTRY(gemv<format, 1, false>);
  all.gemm[format] = HEARTH_ENTRY(gemm<format>);
  all.embed[format] = HEARTH_ENTRY(embed<format>);
}

static Kernels all_kernels() {
  Kernels all;
  add_format<cpu::format_f32>(all);
  add_format<cpu::format_f16>(all);
  add_format<cpu::format_bf16>(all);
  add_format<cpu::format_f8>(all);
  all.gather_rows = HEARTH_ENTRY(gather_rows);
  all.scatter_rows = HEARTH_ENTRY(scatter_rows);
  all.split_groups = HEARTH_ENTRY(split_groups);
  all.rms_norm = HEARTH_ENTRY(rms_norm);
  all.gated_rms_norm = HEARTH_ENTRY(gated_rms_norm);
  all.l2_norm = HEARTH_ENTRY(l2_norm);
  all.rope = HEARTH_ENTRY(rope);
  all.conv_silu = HEARTH_ENTRY(conv_silu);
  all.delta_gates = HEARTH_ENTRY(delta_gates);
  all.delta_step = HEARTH_ENTRY(delta_step<0>);
  all.delta_step_usual = HEARTH_ENTRY(delta_step<usual_key_dim>);
  all.delta_chunk = HEARTH_ENTRY(delta_chunk);
  all.kv_append[cpu::format_f32] = HEARTH_ENTRY(kv_append<cpu::format_f32>);
  all.kv_append[cpu::format_f16] = HEARTH_ENTRY(kv_append<cpu::format_f16>);
  all.attention_span[cpu::format_f32] = HEARTH_ENTRY(attention_span<cpu::format_f32>);
  all.attention_span[cpu::format_f16] = HEARTH_ENTRY(attention_span<cpu::format_f16>);
  all.attention_merge = HEARTH_ENTRY(attention_merge);
  all.silu_mul = HEARTH_ENTRY(silu_mul);
  all.sigmoid_mul = HEARTH_ENTRY(sigmoid_mul);
  all.add = HEARTH_ENTRY(add);
  all.combine = HEARTH_ENTRY(combine);
  all.softmax = HEARTH_ENTRY(softmax);
  all.top_k = HEARTH_ENTRY(top_k);
  return all;
}

}  // namespace hearth::kernels::cuda
