// The devices beside the host: what goes there (layers, with their part of every sequence, and
// experts), what becomes of it where one fails, and how all of it is given back and taken again.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "engine/checkpoint/digest.hpp"
#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"
#include "engine/forward/model_bytes.hpp"

namespace hearth::engine {

namespace {

// Whether it gives what is free on it.
bool is_automatic(const DeviceOptions& device) {
  return device.memory == 0 && device.expert_memory == 0 && !device.layers;
}

const DeviceOptions& options_of(const EngineOptions& options, const ComputeDevice& device) {
  return *std::ranges::find(options.devices, device.backend->device(), &DeviceOptions::device);
}

// What it gives in all; nothing where that is not what its options say.
std::uint64_t budget_of(const DeviceOptions& wanted, kernels::Backend& backend) {
  if (!is_automatic(wanted)) return wanted.memory;
  return free_vram(backend.memory().value_or(kernels::DeviceMemory{}).free);
}

}  // namespace

// A device that is to be used as far as there is room on it may also be missing: the result says
// so.
std::vector<std::string> Runtime::open_beside_host() {
  std::vector<std::string> notes;
  const std::string& numerics = engine_.numerics_;
  std::vector<ComputeDevice>& devices = executor_->devices;
  for (const DeviceOptions& each : std::span(engine_.options_.devices).subspan(1)) {
    const std::string name = kernels::name(each.device);
    std::unique_ptr<kernels::Backend> backend;
    try {
      backend = each.open ? each.open() : kernels::open_cuda(each.device.index);
    } catch (const kernels::Error& missing) {
      if (!is_automatic(each)) throw;
      notes.push_back(std::string(missing.what()) + "; the host computes everything");
      continue;
    } catch (const kernels::DeviceFull&) {
      notes.push_back(name + ": there is no room on it now; the host computes everything");
      continue;
    }
    const auto is_same = [&](const ComputeDevice& other) {
      return other.backend->device() == backend->device();
    };
    if (backend->device() != each.device || std::ranges::any_of(devices, is_same))
      throw Error(name + " cannot be a device beside the host, or is listed twice");
    if (backend->numerics() != numerics)
      throw Error(name + " computes prompts as " + backend->numerics() + ", the host as " +
                  numerics + ": answers would depend on where experts are; leave the device out");
    ComputeDevice device;
    device.workspace = std::make_unique<Workspace>(*backend);
    device.staging = std::make_unique<Workspace>(*backend, kernels::MemoryKind::page_locked);
    device.backend = std::move(backend);
    devices.push_back(std::move(device));
  }
  return notes;
}

// A device's budget pays for layers first, with their part of every sequence: each token reads all
// of a layer, few of its experts. The first layers that fit go to the first device, the next ones
// to the next; experts get what is left.
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
  const auto share = [&](std::uint64_t bytes) {
    return device_share_ < 1
               ? static_cast<std::uint64_t>(device_share_ * static_cast<double>(bytes))
               : bytes;
  };

  device_of_layer_.assign(weights.size(), 0);
  std::size_t next = 0;
  for (std::size_t i = 1; i < executor_->devices.size(); ++i) {
    ComputeDevice& device = executor_->devices[i];
    const DeviceOptions& wanted = options_of(engine_.options(), device);
    const std::uint64_t budget = share(budget_of(wanted, *device.backend));
    const bool by_memory = wanted.memory > 0 || is_automatic(wanted);
    const std::size_t most = static_cast<std::size_t>(
        std::max(wanted.layers.value_or(by_memory ? config.num_layers() : 0), 0));
    std::uint64_t used = chunk + scratch_bytes(config);
    std::size_t placed = 0;
    for (; placed < most && next < weights.size(); ++placed, ++next) {
      const std::uint64_t bytes = weights[next] + layer_state_bytes(next);
      if (by_memory && used + bytes + few_experts > budget) break;
      used += bytes;
      device_of_layer_[next] = i;
    }
    device.expert_memory =
        by_memory ? budget - (placed == 0 ? 0 : used) : share(wanted.expert_memory);
  }
}

LayerPlaces Runtime::layer_places() const {
  LayerPlaces places{{}, device_of_layer_};
  for (const ComputeDevice& device : executor_->devices)
    places.devices.push_back(device.backend.get());
  return places;
}

// Each layer's part of a state is where the layer is.
void Runtime::house_states() {
  StateHomes homes;
  for (const Layer& layer : engine_.model().layers) {
    kernels::Backend* const home = executor_->devices[layer.device].backend.get();
    (layer.kind == LayerKind::full_attention ? homes.kv : homes.linear).push_back(home);
  }
  if (engine_.has_mtp()) homes.kv.push_back(&backend());
  executor_->homes = std::move(homes);
  const auto here = std::ranges::count(device_of_layer_, std::size_t{0});
  layers_on_devices_ = static_cast<int>(std::ssize(device_of_layer_) - here);
}

void Runtime::note_layers() {
  const auto layers = engine_.model().layers.size();
  for (std::size_t i = 1; i < executor_->devices.size(); ++i) {
    const auto there = std::ranges::count(device_of_layer_, i);
    engine_.notes_.push_back(executor_->devices[i].backend->description() + " computes " +
                             std::to_string(there) + " of the " + std::to_string(layers) +
                             " layers, and the experts in its memory");
  }
}

// Those beside the host that are open.
std::vector<DeviceSlots> Runtime::device_slots() const {
  std::vector<DeviceSlots> slots;
  const ExpertStore& store = *engine_.model().store;
  if (store.size() == 0) return slots;
  for (const ComputeDevice& device : std::span(executor_->devices).subspan(1)) {
    const std::uint64_t least = ExpertCache::min_device_slots * store.slot_bytes();
    const bool too_few = device.expert_memory < least;
    const bool may_be_none =
        is_automatic(options_of(engine_.options(), device)) || device_share_ < 1;
    slots.push_back({device.backend.get(), too_few && may_be_none ? 0 : device.expert_memory});
  }
  return slots;
}

// Those that have room for nothing.
void Runtime::close_unused_devices() {
  const std::vector<DeviceExperts> used = executor_->experts->status().devices;
  std::vector<ComputeDevice>& devices = executor_->devices;
  for (std::size_t i = devices.size() - 1; i > 0; --i) {
    const kernels::Device device = devices[i].backend->device();
    if (std::ranges::count(device_of_layer_, i) > 0 ||
        std::ranges::find(used, device, &DeviceExperts::device) != used.end())
      continue;
    devices.erase(devices.begin() + static_cast<std::ptrdiff_t>(i));
    for (std::size_t layer = 0; layer < device_of_layer_.size(); ++layer) {
      std::size_t& place = device_of_layer_[layer];
      if (place > i) engine_.model_->layers[layer].device = --place;
    }
  }
  executor_->experts->number_devices(layer_places().devices);
  if (engine_.options().devices.size() > 1)
    device_use_ = devices.size() > 1 ? DeviceUse::in_use : DeviceUse::released;
}

DeviceUse Runtime::device_use() const {
  return device_use_;
}
int Runtime::layers_on_devices() const {
  return layers_on_devices_;
}

// Layers go to where device_of_layer_ says, and what sequences have of them goes with them. The
// weights are read from the checkpoint's files again, whichever way they go: then they are in
// memory once, where they are computed, and a host's copy takes nothing from its experts while a
// device has them. Where something fails, layers and states are as far as they have got.
void Runtime::move_layers() {
  ExpertCache& cache = *executor_->experts;
  const auto leave_room = [&] {
    const std::uint64_t layers = layers_on_host();
    cache.limit(host_memory_ - std::min(host_memory_, layers));
  };
  const auto settle = [&] {
    for (std::size_t i = 0; i < device_of_layer_.size(); ++i)
      device_of_layer_[i] = engine_.model().layers[i].device;
    house_states();
    for (Session* const session : sessions_)
      devices_lost_ ? session->lose_state() : session->follow_layers();
    leave_room();
    const Lock lock(memory_mutex_);
    plan_layers(engine_.has_mtp());
    memory_.experts = cache.status().budget_bytes;
  };
  LayerPlaces places = layer_places();
  const bool some_move =
      !std::ranges::equal(engine_.model().layers, device_of_layer_, {}, &Layer::device);
  const bool come_home =
      std::ranges::count(device_of_layer_, std::size_t{0}) == std::ssize(device_of_layer_);
  if (come_home) leave_room();  // before there is less
  try {
    if (some_move) files_->check();
    engine::move_layers(*engine_.model_, places, engine_.config());
  } catch (...) {
    settle();
    throw;
  }
  settle();
}

// Nothing of this process is there any more. Throws where the host cannot hold the layers; then it
// is tried again.
void Runtime::leave_devices() {
  executor_->experts->release_devices();
  std::ranges::fill(device_of_layer_, 0);
  move_layers();
  executor_->devices.erase(executor_->devices.begin() + 1, executor_->devices.end());
  devices_lost_ = false;
  device_use_ = DeviceUse::released;
}

bool Runtime::release_devices() noexcept try {
  if (executor_->devices.size() > 1) leave_devices();
  return true;
} catch (const std::exception& failed) {
  if (const auto& note = engine_.options().note)
    note(std::string("the layers on a device stay there: ") + failed.what());
  try {
    executor_->experts->take_devices(device_slots());
    close_unused_devices();
  } catch (const std::exception&) {
    // Its experts are the host's.
  }
  return false;
}

bool Runtime::take_devices() {
  constexpr auto between_tries = std::chrono::minutes(1);
  const auto now = std::chrono::steady_clock::now();
  if (engine_.options().devices.size() == 1 || executor_->devices.size() > 1 || now < next_take_)
    return false;
  std::vector<std::string> notes;
  try {
    notes = open_beside_host();
    place_layers();
    move_layers();
    executor_->experts->take_devices(device_slots());
    close_unused_devices();
  } catch (const std::exception& failed) {
    release_devices();
    notes = {std::string(failed.what()) + "; the host computes everything for now"};
  }
  if (const auto& note = engine_.options().note)
    for (const std::string& each : notes) note(each);
  const bool taken = executor_->devices.size() > 1;
  if (!taken) next_take_ = now + between_tries;
  return taken;
}

void Runtime::recover() {
  if (!devices_lost_) return;
  leave_devices();
  next_take_ = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  if (engine_.options().note)
    engine_.options().note("a device beside the host failed: the host computes what it had");
}

// Its budget is less when it is taken again. Without experts, layers have to do without it, too.
bool Runtime::make_room(const std::bad_alloc& failed) try {
  if (dynamic_cast<const kernels::DeviceFull*>(&failed) == nullptr) return false;
  if (executor_->devices.size() == 1) return false;
  device_share_ *= 0.75;
  const auto& note = engine_.options().note;
  const bool halved = executor_->experts->halve_devices();
  const bool layers = std::ranges::any_of(device_of_layer_, [](std::size_t at) { return at > 0; });
  if (halved && (layers || executor_->experts->has_devices())) {
    if (note)
      note(
          "there was no room for what a device computes: its experts are given up, or half of "
          "them");
    return true;
  }
  if (note) note("there was no room for what a device computes: it is given back for now");
  return release_devices();
} catch (const kernels::LostDevice&) {
  lose_devices();
  throw;
}

std::vector<std::optional<kernels::LinkSpeed>> Runtime::measure_links() {
  std::vector<std::optional<kernels::LinkSpeed>> links;
  for (const ComputeDevice& device : std::span(executor_->devices).subspan(1)) {
    links.emplace_back();
    try {
      links.back() = kernels::measure_link(*device.backend);
    } catch (const std::exception&) {
      // It has no room for that, or fails: the next request says so.
    }
  }
  return links;
}

}  // namespace hearth::engine
