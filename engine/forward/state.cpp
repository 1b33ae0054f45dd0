// Allocates and sizes the states of a sequence.
#include "engine/forward/state.hpp"

#include <algorithm>
#include <utility>

namespace hearth::engine {

namespace {
constexpr std::int64_t kv_step = 256;  // positions by which a cache grows at least

kernels::Buffer copy_of(kernels::Backend& backend, const kernels::Buffer& from) {
  kernels::Buffer to = backend.allocate(from.bytes());
  backend.copy(from, 0, to, 0, from.bytes());
  return to;
}
}  // namespace

std::size_t RecurrentState::bytes() const {
  std::size_t total = 0;
  for (const kernels::Buffer& buffer : delta) total += buffer.bytes();
  for (const kernels::Buffer& buffer : conv) total += buffer.bytes();
  return total;
}

RecurrentShape recurrent_shape(const ModelConfig& config) {
  const auto key_dim = static_cast<std::size_t>(config.linear_key_head_dim);
  const auto value_dim = static_cast<std::size_t>(config.linear_value_head_dim);
  const auto key_heads = static_cast<std::size_t>(config.linear_num_key_heads);
  const auto value_heads = static_cast<std::size_t>(config.linear_num_value_heads);
  const std::size_t channels = 2 * key_heads * key_dim + value_heads * value_dim;
  const std::size_t history = static_cast<std::size_t>(config.linear_conv_kernel_dim) - 1;
  return {value_heads * key_dim * value_dim * sizeof(float), history * channels * sizeof(float)};
}

RecurrentState make_recurrent_state(kernels::Backend& backend, const ModelConfig& config) {
  const RecurrentShape shape = recurrent_shape(config);
  RecurrentState state;
  for (const LayerKind kind : config.layers) {
    if (kind != LayerKind::linear_attention) continue;
    state.delta.push_back(backend.allocate(shape.delta_bytes));
    state.conv.push_back(backend.allocate(shape.conv_bytes));
  }
  return state;
}

RecurrentState copy(kernels::Backend& backend, const RecurrentState& state) {
  RecurrentState result;
  for (const kernels::Buffer& buffer : state.delta)
    result.delta.push_back(copy_of(backend, buffer));
  for (const kernels::Buffer& buffer : state.conv) result.conv.push_back(copy_of(backend, buffer));
  return result;
}

RecurrentState take_spare(State& state, kernels::Backend& backend, const ModelConfig& config) {
  if (state.spares.empty()) return make_recurrent_state(backend, config);
  RecurrentState spare = std::move(state.spares.back());
  state.spares.pop_back();
  return spare;
}

std::size_t kv_bytes(const kernels::KvCache& kv, std::int64_t positions) {
  return static_cast<std::size_t>(positions * kv.heads * kv.head_dim) * kernels::size_of(kv.type);
}

void reserve(kernels::Backend& backend, kernels::KvCache& kv, std::int64_t valid,
             std::int64_t positions) {
  if (positions <= kv.capacity) return;
  const std::int64_t grown = std::max(positions, kv.capacity + kv.capacity / 2);
  const std::int64_t capacity = (grown + kv_step - 1) / kv_step * kv_step;
  for (kernels::Buffer* half : {&kv.keys, &kv.values}) {
    kernels::Buffer larger = backend.allocate(kv_bytes(kv, capacity));
    if (valid > 0) backend.copy(*half, 0, larger, 0, kv_bytes(kv, valid));
    *half = std::move(larger);
  }
  kv.capacity = capacity;
}

}  // namespace hearth::engine
