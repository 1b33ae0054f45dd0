// How the host's memory is divided.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "engine/engine.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"
#include "engine/forward/model_bytes.hpp"

namespace hearth::engine {

namespace {

std::uint64_t kv_bytes_per_position(const ModelConfig& config, KvType kv) {
  const std::uint64_t values = std::uint64_t{2} *
                               static_cast<std::uint64_t>(config.num_key_value_heads) *
                               static_cast<std::uint64_t>(config.head_dim);
  return values * (kv == KvType::f16 ? sizeof(std::uint16_t) : sizeof(float));
}

// Bytes of a sequence's DeltaNet state and convolution history, of one layer.
std::uint64_t state_bytes(const ModelConfig& config) {
  const RecurrentShape shape = recurrent_shape(config);
  return shape.delta_bytes + shape.conv_bytes;
}

}  // namespace

// What the sessions have of one layer.
std::uint64_t Runtime::layer_state_bytes(std::size_t layer) const {
  const EngineOptions& options = engine_.options();
  const ModelConfig& config = engine_.config();
  if (config.layers[layer] == LayerKind::full_attention)
    return static_cast<std::uint64_t>(engine_.context()) *
           kv_bytes_per_position(config, options.kv);
  return (2 + options.drafts) * state_bytes(config);
}

std::uint64_t Runtime::layers_on_host() const {
  const std::vector<std::uint64_t> weights =
      layer_bytes(*engine_.model().tensors, engine_.config().num_layers());
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (device_of_layer_[i] == 0) bytes += weights[i] + layer_state_bytes(i);
  return bytes;
}

bool Runtime::mtp_wanted(const MemoryView& view) {
  const EngineOptions& options = engine_.options();
  const Tensors& tensors = *engine_.model().tensors;
  const bool there = tensors.find("mtp.fc.weight") != nullptr;
  // A head of several layers drafts otherwise; without it nothing but speed is lost.
  if (!there || engine_.config().num_mtp_layers > 1) return false;
  if (options.mtp != MtpUse::where_it_pays) return options.mtp == MtpUse::always;
  const std::uint64_t weights = expert_bytes(tensors, true);
  constexpr std::uint64_t slots = 64;  // of which one is lost to the slots' borders
  MemoryWishes wishes;
  wishes.experts = options.host().expert_memory;
  wishes.all_experts = weights + weights / slots;
  wishes.min_experts = 1;
  try {
    plan_memory(view, wishes, true);
  } catch (const Error&) {
    return false;  // perhaps it fits without
  }
  return memory_.experts >= wishes.all_experts;
}

// What is always there, and sequences.
void Runtime::plan_layers(bool mtp) {
  const EngineOptions& options = engine_.options();
  const ModelConfig& config = engine_.config();
  const Tensors& tensors = *engine_.model().tensors;
  memory_.dense = dense_bytes(tensors, mtp);
  memory_.kv = mtp ? static_cast<std::uint64_t>(engine_.context()) *
                         kv_bytes_per_position(config, options.kv)
                   : 0;
  memory_.states = 0;
  const std::vector<std::uint64_t> weights = layer_bytes(tensors, config.num_layers());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const bool attends = config.layers[i] == LayerKind::full_attention;
    if (device_of_layer_[i] == 0)
      (attends ? memory_.kv : memory_.states) += layer_state_bytes(i);
    else
      memory_.dense -= weights[i];
  }
}

// Throws Error where not even the dense weights fit.
void Runtime::plan_memory(const MemoryView& view, const MemoryWishes& wishes, bool mtp) {
  const EngineOptions& options = engine_.options();
  const ModelConfig& config = engine_.config();
  plan_layers(mtp);
  memory_.prefixes = options.prefix_ram_bytes.value_or(default_prefixes(view));
  memory_.scratch = static_cast<std::uint64_t>(engine_.chunk_rows()) * chunk_bytes_per_row(config);
  memory_.shortlist = shortlist_bytes(options, config, memory_, view);
  plan_experts(memory_, view, wishes, "the checkpoint in " + options.model.string());
}

void Runtime::plan_experts_memory(const MemoryView& view) {
  const ExpertStore& store = *engine_.model().store;
  const auto k = static_cast<std::uint64_t>(engine_.config().num_experts_per_tok);
  MemoryWishes wishes;
  wishes.experts = engine_.options().host().expert_memory;
  wishes.all_experts = store.size() * store.slot_bytes();
  wishes.min_experts = 2 * k * store.slot_bytes();
  plan_memory(view, wishes, engine_.has_mtp());
}

}  // namespace hearth::engine
