// The table of all kernels, as one compiler has made them.
#pragma once

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

// Threads of a block, and what a block does, are said where the kernel is.
struct Kernels {
  // By the rows of x that a block of threads takes at a time: 1, 2, 4.
  Kernel<Products> gemv[cpu::format_count][3];
  Kernel<Products> gemv_unaligned[cpu::format_count];  // one row at a time
  Kernel<Products> gemm[cpu::format_count];
  Kernel<Embedding> embed[cpu::format_count];
  Kernel<MoveRows> gather_rows;
  Kernel<MoveRows> scatter_rows;
  Kernel<Split> split_groups;
  Kernel<Norm> rms_norm;
  Kernel<Norm> gated_rms_norm;
  Kernel<Norm> l2_norm;
  Kernel<Rope> rope;
  Kernel<cpu::Convolution> conv_silu;
  Kernel<DeltaGates> delta_gates;
  Kernel<DeltaHeads> delta_step;
  Kernel<DeltaHeads> delta_step_usual;  // of the usual key dim
  Kernel<DeltaHeads> delta_chunk;
  Kernel<KvAppend> kv_append[2];  // format_f32, format_f16
  Kernel<AttentionSpans> attention_span[2];
  Kernel<AttentionMerges> attention_merge;
  Kernel<Elementwise> silu_mul;
  Kernel<Elementwise> sigmoid_mul;
  Kernel<Elementwise> add;
  Kernel<Combine> combine;
  Kernel<Softmax> softmax;
  Kernel<TopK> top_k;
};

template <class Each>
void for_each(const Kernels& all, const Each& each) {
  for (int format = 0; format < cpu::format_count; ++format) {
    for (const Kernel<Products>& kernel : all.gemv[format]) each(kernel);
    each(all.gemv_unaligned[format]);
    each(all.gemm[format]);
    each(all.embed[format]);
  }
  for (const Kernel<MoveRows>& kernel : {all.gather_rows, all.scatter_rows}) each(kernel);
  for (const Kernel<Norm>& kernel : {all.rms_norm, all.gated_rms_norm, all.l2_norm}) each(kernel);
  for (const Kernel<DeltaHeads>& kernel : {all.delta_step, all.delta_step_usual, all.delta_chunk})
    each(kernel);
  for (const Kernel<KvAppend>& kernel : all.kv_append) each(kernel);
  for (const Kernel<AttentionSpans>& kernel : all.attention_span) each(kernel);
  for (const Kernel<Elementwise>& kernel : {all.silu_mul, all.sigmoid_mul, all.add}) each(kernel);
  each(all.split_groups);
  each(all.rope);
  each(all.conv_silu);
  each(all.delta_gates);
  each(all.attention_merge);
  each(all.combine);
  each(all.softmax);
  each(all.top_k);
}

}  // namespace hearth::kernels::cuda
