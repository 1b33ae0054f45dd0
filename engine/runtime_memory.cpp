// How memory is divided: the host's, and what of the model goes to the devices beside it, and comes
// back where one fails.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
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

// The first layers that fit go to the first device beside the host, the next ones to the next.
void Runtime::place_layers() {
  const ModelConfig& config = engine_.config();
  const Tensors& tensors = *engine_.model().tensors;
  const std::vector<std::uint64_t> weights = layer_bytes(tensors, config.num_layers());
  const std::uint64_t chunk =
      static_cast<std::uint64_t>(engine_.chunk_rows()) * chunk_bytes_per_row(config);
  const std::uint64_t experts = static_cast<std::uint64_t>(config.num_layers()) *
                                static_cast<std::uint64_t>(config.num_experts);
  // What no division may take: two experts can change places, and work.
  const std::uint64_t few_experts =
      experts == 0 ? 0 : 4 * (expert_bytes(tensors, false) / experts + 1);

  device_of_layer_.assign(weights.size(), 0);
  std::size_t next = 0;
  for (std::size_t i = 1; i < engine_.options_.devices.size(); ++i) {
    DeviceOptions& device = engine_.options_.devices[i];
    const bool by_memory = device.memory > 0;
    const std::size_t most = static_cast<std::size_t>(
        std::max(device.layers.value_or(by_memory ? config.num_layers() : 0), 0));
    std::uint64_t used = chunk + scratch_bytes(config);
    for (std::size_t placed = 0; placed < most && next < weights.size(); ++placed, ++next) {
      const std::uint64_t bytes = weights[next] + layer_state_bytes(next);
      if (by_memory && used + bytes + few_experts > device.memory) break;
      used += bytes;
      device_of_layer_[next] = i;
    }
    if (by_memory) {
      const bool none = std::ranges::count(device_of_layer_, i) == 0;
      device.expert_memory = device.memory - (none ? 0 : used);
    }
  }
}

// What the sessions have of one layer.
std::uint64_t Runtime::layer_state_bytes(std::size_t layer) const {
  const EngineOptions& options = engine_.options();
  const ModelConfig& config = engine_.config();
  if (config.layers[layer] == LayerKind::full_attention)
    return static_cast<std::uint64_t>(engine_.context()) *
           kv_bytes_per_position(config, options.kv);
  return (2 + options.drafts) * state_bytes(config);
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

// The host's. Throws Error where not even the dense weights fit.
void Runtime::plan_memory(const MemoryView& view, const MemoryWishes& wishes, bool mtp) {
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

// In steps of which each can be taken again: there may not be memory for the next.
void Runtime::recover() {
  if (!devices_lost_) return;
  ExpertCache& cache = *executor_->experts;
  cache.leave_devices();
  std::uint64_t layers = 0;  // that the host has to hold from now on
  const std::vector<std::uint64_t> weights =
      layer_bytes(*engine_.model().tensors, engine_.config().num_layers());
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (device_of_layer_[i] != 0) layers += weights[i] + layer_state_bytes(i);
  if (layers > 0) cache.resize(memory_.experts - std::min(memory_.experts, layers));
  bring_layers_home(*engine_.model_, backend(), engine_.config());
  executor_->devices.erase(executor_->devices.begin() + 1, executor_->devices.end());
  std::ranges::fill(device_of_layer_, 0);
  house_states();
  devices_lost_ = false;
  ++losses_;
  if (engine_.options().note)
    engine_.options().note(
        "a device beside the host failed: the host computes what it had, until hearth is started "
        "again");
}

bool Runtime::make_room(const std::bad_alloc& failed) {
  if (dynamic_cast<const kernels::DeviceFull*>(&failed) == nullptr) return false;
  if (!executor_->experts->halve_devices()) return false;
  if (engine_.options().note)
    engine_.options().note(
        "there was no room for what is computed: half of the devices' memory for experts is given "
        "up");
  return true;
}

}  // namespace hearth::engine
