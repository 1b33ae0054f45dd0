// SlotPool's states and its choice of victims.
#include "engine/experts/slot_pool.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace hearth::engine {

namespace {

// A prefill's window: enough that the disk has work while a group of experts is computed; an eighth
// of the slots, so that decoding's stay.
constexpr std::size_t min_window = 24;
constexpr std::size_t max_window = 192;
// Buffers of this size and more have pages of their own.
constexpr std::size_t min_arena = std::size_t{4} << 20;
// Slots of a sample: the least of so many is among the least of all nearly always, and to look for
// that one would take longer than a bad choice costs.
constexpr std::size_t sample_size = 32;

}  // namespace

std::size_t SlotPool::arena_bytes(std::size_t slots, const ExpertStore& store) {
  return std::max<std::size_t>(slots * store.slot_bytes(), min_arena);
}

SlotPool::SlotPool(kernels::Backend& backend, kernels::Buffer arena, std::size_t slots,
                   const ExpertStore& store, Policy& policy)
    : backend_(backend),
      store_(store),
      policy_(policy),
      arena_(std::move(arena)),
      scales_(store.load_scales(backend)),
      usable_(slots) {
  slots_.resize(slots);
  empty_.reserve(slots);
  for (std::size_t i = slots; i-- > 0;) empty_.push_back(static_cast<int>(i));
  slot_of_.assign(store.size(), -1);
  scanned_.resize(static_cast<std::size_t>(store.layers()));
  scanned_count_.resize(scanned_.size());
}

std::span<std::byte> SlotPool::memory(int slot) const {
  return backend_.map(arena_).value().subspan(offset(slot), store_.slot_bytes());
}

ExpertWeights SlotPool::weights(int slot) const {
  return store_.weights(slots_[static_cast<std::size_t>(slot)].key, arena_, offset(slot), scales_);
}

// --- States --------------------------------------------------------------------------------------

std::optional<int> SlotPool::take_empty() {
  if (empty_.empty()) return std::nullopt;
  const int slot = empty_.back();
  empty_.pop_back();
  return slot;
}

void SlotPool::put_back(int slot) {
  at(slot) = {};
  empty_.push_back(slot);  // there was room for all of them from the beginning
}

void SlotPool::fill(int slot, Key key) {
  at(slot).key = key;
  at(slot).state = SlotState::loading;
  slot_of_[static_cast<std::size_t>(key)] = slot;
}

void SlotPool::set_ready(int slot) {
  at(slot).state = SlotState::ready;
  ++resident_;
}

void SlotPool::leave(int index) {
  unmark_scanned(index);
  slot_of_[static_cast<std::size_t>(at(index).key)] = -1;
  --resident_;
  at(index) = {};
  at(index).state = SlotState::leaving;
}

void SlotPool::evict(int index) {
  Slot& slot = at(index);
  unmark_scanned(index);
  policy_.dropped(slot.key);
  slot_of_[static_cast<std::size_t>(slot.key)] = -1;
  if (slot.state == SlotState::ready) --resident_;
  slot = {};
}

// --- Victims -------------------------------------------------------------------------------------

// Decoding takes what prefills have left behind before it gives up what it used itself; a prefill
// takes what it has left behind in this layer once the layer has its share, and of decoding's no
// more than it needs to keep the disk busy.
std::optional<int> SlotPool::take(Pass pass, int layer) {
  if (const std::optional<int> empty = take_empty()) return empty;
  const auto max = std::ranges::max_element(scanned_count_);
  const int fullest = static_cast<int>(max - scanned_count_.begin());
  std::optional<int> slot;
  if (pass == Pass::decode) {
    slot = scanned_victim(fullest);
    if (!slot) slot = policy_victim();
  } else {
    const std::size_t share = std::max(usable_ / scanned_.size(), window());
    if (scanned_count_[static_cast<std::size_t>(layer)] >= share) slot = scanned_victim(layer);
    if (!slot && *max > share) slot = scanned_victim(fullest);
    if (!slot && scanned_total_ < window()) slot = policy_victim();
    if (!slot) slot = scanned_victim(layer);
    if (!slot) slot = scanned_victim(fullest);
    if (!slot) slot = policy_victim();
  }
  if (slot) evict(*slot);
  return slot;
}

// An empty one, or what the pass is done with.
std::optional<int> SlotPool::take_ahead(int layer) {
  if (const std::optional<int> empty = take_empty()) return empty;
  std::optional<int> slot = scanned_victim(layer);
  if (!slot && scanned_total_ < window()) slot = policy_victim();
  if (slot) evict(*slot);
  return slot;
}

std::size_t SlotPool::window() const {
  return std::clamp(usable_ / 8, min_window, max_window);
}

// The oldest that a prefill brought for this layer and nobody uses.
std::optional<int> SlotPool::scanned_victim(int layer) {
  std::deque<int>& slots = scanned_[static_cast<std::size_t>(layer)];
  for (std::size_t left = slots.size(); left > 0; --left) {
    const int index = slots.front();
    const Slot& slot = at(index);
    const bool outdated = !slot.scanned || layer_of(slot.key) != layer;
    if (!outdated && !slot.idle()) slots.push_back(index);
    slots.pop_front();
    if (!outdated && slot.idle()) return index;
  }
  return std::nullopt;
}

std::optional<int> SlotPool::policy_victim() {
  const auto idle = [&](Key key) { return find(key) >= 0 && at(find(key)).idle(); };
  const std::optional<Key> key = policy_.victim(idle);
  if (!key) return std::nullopt;
  return find(*key);
}

std::optional<int> SlotPool::sampled_victim() {
  std::optional<int> least;
  for (std::size_t i = 0; i < std::min(sample_size, slots_.size()); ++i) {
    const auto slot = static_cast<int>(sampled_);
    sampled_ = (sampled_ + 1) % slots_.size();
    if (!at(slot).idle()) continue;
    if (!least || policy_.rank(at(slot).key) < policy_.rank(at(*least).key)) least = slot;
  }
  return least;
}

void SlotPool::mark_scanned(int index) {
  Slot& slot = at(index);
  const auto layer = static_cast<std::size_t>(layer_of(slot.key));
  try {
    scanned_[layer].push_back(index);
  } catch (const std::bad_alloc&) {
    policy_.used(slot.key);  // so that it can go when its time comes
    return;
  }
  slot.scanned = true;
  ++scanned_count_[layer];
  ++scanned_total_;
}

void SlotPool::unmark_scanned(int index) {
  Slot& slot = at(index);
  if (!std::exchange(slot.scanned, false)) return;
  --scanned_count_[static_cast<std::size_t>(layer_of(slot.key))];
  --scanned_total_;
}

// --- Budget --------------------------------------------------------------------------------------

void SlotPool::resize(std::size_t target) {
  for (std::size_t i = 0; i < slots_.size() && usable_ < target; ++i) {
    if (slots_[i].state != SlotState::given_back) continue;
    put_back(static_cast<int>(i));
    ++usable_;
  }
  while (usable_ > target) {
    const std::optional<int> index = take(Pass::decode, 0);
    if (!index) return;  // all in use: what is left goes the next time
    at(*index).state = SlotState::given_back;
    backend_.discard(arena_, offset(*index), store_.slot_bytes());
    --usable_;
  }
}

void SlotPool::forget() {
  for (int i = static_cast<int>(slots_.size()); i-- > 0;) {
    if (!at(i).idle()) continue;
    evict(i);
    put_back(i);
  }
}

}  // namespace hearth::engine
