// ExpertCache's devices beside the host: which experts go there, and the copies.
#include <algorithm>
#include <array>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <utility>

#include "engine/experts/cache.hpp"

namespace hearth::engine {

namespace {

// Experts that go to a device after one layer's step, at most. Each takes as long to copy as some
// to compute, and what is copied now may not be wanted for long.
constexpr std::size_t moves_per_step = 2;
// Those of the warm start: a device's memory should be full after some tokens, not be waited for.
constexpr std::size_t warm_moves_per_step = 8;

}  // namespace

ExpertCache::~ExpertCache() {
  const Lock lock(mutex_);
  while (!moves_.empty()) {
    try {
      book_moves(true);
    } catch (const std::exception&) {
      // A device that has failed copies nothing any more.
    }
  }
}

void ExpertCache::add_device(const DeviceSlots& wanted) {
  kernels::Backend& backend = *wanted.backend;
  const std::string device = kernels::name(backend.device());
  const auto asked = static_cast<std::size_t>(
      std::min<std::uint64_t>(wanted.budget_bytes / store_.slot_bytes(), store_.size()));
  if (asked < min_device_slots && wanted.budget_bytes > 0) {
    throw Error(device + ": its memory for experts, " + std::to_string(wanted.budget_bytes) +
                " bytes, holds " + std::to_string(asked) + " of " +
                std::to_string(store_.slot_bytes()) + " bytes each; at least " +
                std::to_string(min_device_slots) + " are needed");
  }
  std::size_t slots = asked;
  for (; slots >= min_device_slots; slots -= slots / 8 + 1) {
    try {
      devices_.push_back(std::unique_ptr<DevicePool>(
          new DevicePool{backend,
                         {backend, backend.allocate(SlotPool::arena_bytes(slots, store_)), slots,
                          store_, *policy_},
                         devices_.size() + 1}));
    } catch (const std::bad_alloc&) {
      continue;  // others have taken it
    }
    if (slots < asked && note_)
      note_(device + ": there is room for " + std::to_string(slots) + " experts, not for " +
            std::to_string(asked));
    return;
  }
  if (note_) note_(device + ": there is no room for experts now; the host computes all of them");
}

void ExpertCache::release_devices() noexcept {
  abandon_moves();
  const Lock lock(mutex_);
  to_promote_.clear();
  for (const auto& device : devices_) {
    status_.released_hits += device->hits;
    device->slots.forget();
  }
  devices_.clear();
  has_devices_ = false;
}

void ExpertCache::number_devices(std::span<kernels::Backend* const> all) {
  const Lock lock(mutex_);
  for (const auto& device : devices_)
    device->number =
        static_cast<std::size_t>(std::ranges::find(all, &device->backend) - all.begin());
}

std::size_t ExpertCache::device_numbered(std::size_t number) const {
  for (std::size_t i = 0; i < devices_.size(); ++i)
    if (devices_[i]->number == number) return i + 1;
  return 0;
}

void ExpertCache::take_devices(std::span<const DeviceSlots> devices) {
  std::vector<Key> keys;
  {
    const Lock lock(mutex_);
    for (const DeviceSlots& device : devices) add_device(device);
    has_devices_ = !devices_.empty();
    if (has_devices_) keys = most_used();
  }
  if (!keys.empty()) warm(std::move(keys));
}

// As many as there is room for, the most useful first.
std::vector<ExpertCache::Key> ExpertCache::most_used() const {
  const std::vector<float> uses = uses_;
  const auto uses_of = [&uses](Key key) { return uses[static_cast<std::size_t>(key)]; };
  std::vector<Key> keys;
  for (Key key = 0; key < static_cast<Key>(uses.size()); ++key)
    if (uses_of(key) > 0) keys.push_back(key);
  std::ranges::stable_sort(keys, std::greater{}, uses_of);
  keys.resize(std::min(keys.size(), pool_.usable() + room_on_devices()));
  return keys;
}

ExpertCache::SlotRef ExpertCache::find(Key key) const {
  if (const int slot = pool_.find(key); slot >= 0) return {0, slot};
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (const int slot = devices_[i]->slots.find(key); slot >= 0) return {i + 1, slot};
  }
  return {};
}

// Has some of the experts that decoding has just used moved to a device, where they displace what
// is used less.
void ExpertCache::promote(LayerId layer, std::span<const ExpertId> experts) {
  const Lock lock(mutex_);
  if (!end_moves(false)) return;  // those of an earlier step go first
  std::size_t left = moves_per_step;
  for (const ExpertId expert : experts) {
    const int slot = pool_.find(store_.key(layer, expert));
    if (slot < 0 || !pool_.at(slot).idle()) continue;
    if (promote_from(slot) && --left == 0) return;
  }
}

// What devices can hold beside the slot that is kept free.
std::size_t ExpertCache::room_on_devices() const {
  std::size_t room = 0;
  for (const auto& device : devices_) room += device->slots.size() - 1;
  return room;
}

// Which of a warm start's experts, given the most useful first, are to go to devices. Those that
// nobody has used stay: the first use says more about them.
void ExpertCache::list_warm_promotions(std::span<const Key> keys) {
  to_promote_.clear();
  const std::size_t room = room_on_devices();
  for (const Key key : keys) {
    if (to_promote_.size() == room) return;
    if (uses_[static_cast<std::size_t>(key)] > 0) to_promote_.push_back(key);
  }
}

// What the warm start has read for the devices goes there, the most useful first, some at a time.
void ExpertCache::promote_warmed() {
  if (!moves_.empty()) return;  // those of an earlier step go first
  for (std::size_t left = warm_moves_per_step; left > 0 && !to_promote_.empty();) {
    const Key key = to_promote_.front();
    const SlotRef place = find(key);
    const bool to_come =
        place.slot < 0 ? loader_.will_warm(key) : slot_at(place).state == SlotState::loading;
    if (to_come) return;
    to_promote_.pop_front();
    // Else something has displaced it meanwhile, or decoding has moved it.
    if (place.device != 0 || place.slot < 0 || !pool_.at(place.slot).idle()) continue;
    const auto has_room = [](const auto& device) { return device->slots.empty() > 1; };
    const auto device = std::ranges::find_if(devices_, has_room);
    if (device == devices_.end()) return to_promote_.clear();
    move_up(static_cast<std::size_t>(device - devices_.begin()) + 1, place.slot, -1);
    --left;
  }
}

// False: no device has a better use for it.
bool ExpertCache::promote_from(int host_slot) {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i]->slots.empty() <= 1) continue;
    move_up(i + 1, host_slot, -1);
    return true;
  }
  const Key key = pool_.at(host_slot).key;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    SlotPool& slots = devices_[i]->slots;
    const std::optional<int> victim = slots.sampled_victim();
    if (slots.empty() == 0 || !victim || !policy_->should_yield(slots.at(*victim).key, key))
      continue;
    move_up(i + 1, host_slot, *victim);
    return true;
  }
  return false;
}

// An expert goes up from the host's slot into an empty one of the device; that in `freed_slot`, if
// any, comes down into its place. The device's queue keeps their order: what comes down does not
// overwrite what has not gone up, and whatever the device computes from now on finds it there.
void ExpertCache::move_up(std::size_t device, int host_slot, int freed_slot) {
  DevicePool& there = *devices_[device - 1];
  const std::size_t bytes = store_.slot_bytes();
  const int target = *there.slots.take_empty();
  try {
    moves_.push_back({device, host_slot, target, freed_slot, {}});
    try {
      kernels::Event& passed = moves_.back().passed;
      passed = there.backend.transfer(pool_.arena(), pool_.offset(host_slot), there.slots.arena(),
                                      there.slots.offset(target), bytes);
      if (freed_slot >= 0)
        passed = there.backend.transfer(there.slots.arena(), there.slots.offset(freed_slot),
                                        pool_.arena(), pool_.offset(host_slot), bytes);
    } catch (...) {
      moves_.pop_back();
      throw;
    }
  } catch (...) {
    there.slots.put_back(target);
    throw;
  }
  const Key up = pool_.at(host_slot).key;
  pool_.leave(host_slot);
  there.slots.fill(target, up);
  there.slots.set_ready(target);
  ++there.promoted;
  if (freed_slot < 0) return;
  const Key down = there.slots.at(freed_slot).key;
  there.slots.leave(freed_slot);
  pool_.fill(host_slot, down);
  ++there.demoted;
}

// Books the copies that are over; true when none is under way any more. Where a device fails,
// nobody knows what arrived: both experts are read again when they are wanted.
bool ExpertCache::end_moves(bool wait) {
  const bool none = book_moves(wait);
  if (loader_.warming()) issue_warm_reads_if_possible();  // into the slots that they left
  return none;
}

bool ExpertCache::book_moves(bool wait) {
  for (; !moves_.empty(); moves_.pop_front()) {
    const Move& move = moves_.front();
    DevicePool& there = *devices_[move.device - 1];
    try {
      if (wait) {
        there.backend.wait(move.passed);
      } else if (!there.backend.passed(move.passed)) {
        return false;
      }
    } catch (const std::exception& failed) {
      drop({move.device, move.device_slot}, ReadResult::of(failed));
      if (move.freed_slot >= 0) {
        drop({0, move.host_slot}, ReadResult::of(failed));
        there.slots.put_back(move.freed_slot);
      } else {
        pool_.put_back(move.host_slot);
      }
      moves_.pop_front();
      throw;
    }
    if (move.freed_slot >= 0) {
      pool_.set_ready(move.host_slot);
      there.slots.put_back(move.freed_slot);
    } else {
      pool_.put_back(move.host_slot);
    }
  }
  return true;
}

// After a failure: what is under way ends, and what failed is known to be gone before the next
// request.
void ExpertCache::abandon_moves() noexcept {
  const Lock lock(mutex_);
  while (!moves_.empty()) {
    try {
      end_moves(true);
    } catch (const std::exception&) {
      // The request that is failing says it.
    }
  }
}

bool ExpertCache::halve_devices() {
  abandon_moves();
  const Lock lock(mutex_);
  bool some = false;
  for (std::unique_ptr<DevicePool>& device : devices_) {
    const std::size_t slots = device->slots.size() / 2;
    if (slots < min_device_slots) continue;
    kernels::Backend& backend = device->backend;
    backend.wait(backend.queued());  // what is queued computes with them
    device->slots.forget();
    const std::size_t number = device->number;
    const auto [hits, promoted, demoted] =
        std::array{device->hits, device->promoted, device->demoted};
    try {
      device.reset();
      device = std::unique_ptr<DevicePool>(
          new DevicePool{backend,
                         {backend, backend.allocate(SlotPool::arena_bytes(slots, store_)), slots,
                          store_, *policy_},
                         number,
                         hits,
                         promoted,
                         demoted});
    } catch (const std::bad_alloc&) {
      devices_.clear();  // somebody else has taken it: the host keeps them all
      has_devices_ = false;
      return true;
    } catch (...) {
      devices_.clear();
      has_devices_ = false;
      throw;
    }
    some = true;
  }
  return some;
}

}  // namespace hearth::engine
