// Cuts the delta rule into launches.
#include "kernels/cuda/delta_rule.hpp"

#include <algorithm>
#include <string>

namespace hearth::kernels::cuda {

void launch_delta_rule(Runtime& runtime, const Kernels& kernels, const DeltaRule& a,
                       DeltaForm form) {
  const Operands operands(runtime.device());
  cpu::require_delta(a);
  require(a.key_dim <= max_key_dim, "delta_rule: a key of more than " +
                                        std::to_string(max_key_dim) +
                                        " dims cannot be computed on a CUDA device");
  const std::int64_t key_width = std::int64_t{a.key_heads} * a.key_dim;
  const std::int64_t value_width = std::int64_t{a.value_heads} * a.value_dim;
  const std::int64_t states = std::int64_t{a.value_heads} * a.key_dim * a.value_dim;
  const std::int64_t gates = std::int64_t{a.rows} * a.value_heads;
  const cpu::DeltaHead whole{.rows = a.rows,
                             .key_dim = a.key_dim,
                             .columns = a.value_dim,
                             .q = operands.at("delta_rule: q", a.q, a.rows, key_width),
                             .q_stride = a.q.stride,
                             .k = operands.at("delta_rule: k", a.k, a.rows, key_width),
                             .k_stride = a.k.stride,
                             .v = operands.at("delta_rule: v", a.v, a.rows, value_width),
                             .v_stride = a.v.stride,
                             .g = operands.at("delta_rule: g", a.g, gates),
                             .beta = operands.at("delta_rule: beta", a.beta, gates),
                             .gate_stride = a.value_heads,
                             .state_in = operands.at("delta_rule: state_in", a.state_in, states),
                             .state_out = operands.at("delta_rule: state_out", a.state_out, states),
                             .state_stride = a.value_dim,
                             .out = operands.at("delta_rule: out", a.out, a.rows * value_width),
                             .out_stride = value_width};
  const Kernel<DeltaHeads>& kernel = form == DeltaForm::chunked   ? kernels.delta_chunk
                                     : a.key_dim == usual_key_dim ? kernels.delta_step_usual
                                                                  : kernels.delta_step;
  const auto columns = static_cast<unsigned>(divide_up(a.value_dim, delta_threads));
  int rows = 0;
  for (int row = 0; row < a.rows; row += rows) {
    rows = std::min(a.rows - row, cpu::until_segment_end(a, row));
    cpu::DeltaHead some = whole;
    some.rows = rows;
    some.q += row * whole.q_stride;
    some.k += row * whole.k_stride;
    some.v += row * whole.v_stride;
    some.g += row * whole.gate_stride;
    some.beta += row * whole.gate_stride;
    some.out += row * whole.out_stride;
    if (row > 0) some.state_in = whole.state_out;
    runtime.launch(kernel, {columns, static_cast<unsigned>(a.value_heads)}, delta_threads,
                   DeltaHeads{some, a.value_heads / a.key_heads});
  }
}

}  // namespace hearth::kernels::cuda
