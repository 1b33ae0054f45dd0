// Allocates and sizes the states of a sequence.
#include "engine/forward/state.hpp"

#include <algorithm>
#include <utility>

namespace hearth::engine {

namespace {
constexpr std::int64_t kv_step = 256;  // positions by which a cache grows at least
}  // namespace

std::size_t RecurrentState::bytes() const {
  std::size_t total = 0;
  for (const kernels::Buffer& buffer : delta) total += buffer.bytes();
  for (const kernels::Buffer& buffer : conv) total += buffer.bytes();
  return total;
}

std::size_t RowBuffers::bytes() const {
  return hidden.bytes() + output.bytes() + normed.bytes() + shared.bytes() + outputs.bytes();
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

RecurrentState make_recurrent_state(const StateHomes& homes, const ModelConfig& config) {
  const RecurrentShape shape = recurrent_shape(config);
  RecurrentState state;
  for (kernels::Backend* const backend : homes.linear) {
    state.delta.push_back(backend->allocate(shape.delta_bytes));
    state.conv.push_back(backend->allocate(shape.conv_bytes));
  }
  return state;
}

RecurrentState take_spare(State& state, const StateHomes& homes, const ModelConfig& config) {
  if (state.spares.empty()) return make_recurrent_state(homes, config);
  RecurrentState spare = std::move(state.spares.back());
  state.spares.pop_back();
  return spare;
}

std::size_t kv_bytes(const kernels::KvCache& kv, std::int64_t positions) {
  return static_cast<std::size_t>(positions * kv.heads * kv.head_dim) * kernels::size_of(kv.type);
}

void reserve(const StateHomes& homes, State& state, std::int64_t valid, std::int64_t positions) {
  for (std::size_t i = 0; i < state.kv.size(); ++i)
    reserve(*homes.kv[i], state.kv[i], valid, positions);
}

void reserve(kernels::Backend& backend, kernels::KvCache& kv, std::int64_t valid,
             std::int64_t positions) {
  if (positions <= kv.capacity) return;
  const std::int64_t grown = std::max(positions, kv.capacity + kv.capacity / 2);
  const std::int64_t capacity = (grown + kv_step - 1) / kv_step * kv_step;
  for (kernels::Buffer* half : {&kv.keys, &kv.values}) {
    kernels::Buffer larger = backend.allocate(kv_bytes(kv, capacity));
    if (valid > 0) backend.copy(*half, 0, larger, 0, kv_bytes(kv, valid));
    backend.wait(backend.queued());  // the old one goes
    *half = std::move(larger);
  }
  kv.capacity = capacity;
}

}  // namespace hearth::engine
