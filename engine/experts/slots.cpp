// The expert cache's slots: which are empty, and whose content goes where none is. See
// cache.hpp.
#include <algorithm>
#include <new>
#include <utility>

#include "engine/experts/cache.hpp"

namespace hearth::engine {

namespace {

// Experts that a prefill has read, or is reading, and not yet computed. Enough that the disk has
// work while a group of them is computed; an eighth of the slots, so that decoding's stay.
constexpr std::size_t min_window = 24;
constexpr std::size_t max_window = 192;

}  // namespace

std::span<std::byte> ExpertCache::memory(int slot) const {
  return backend_.map(arena_).value().subspan(
      static_cast<std::size_t>(slot) * store_.slot_bytes(), store_.slot_bytes());
}

// An empty slot, or one whose content is given up. Decoding takes what prefills have left behind
// before it gives up what it used itself; a prefill takes what it has left behind in this layer
// once the layer has its share, and of decoding's no more than it needs to keep the disk busy.
std::optional<int> ExpertCache::take_slot(Pass pass, int layer) {
  if (!empty_.empty()) {
    const int slot = empty_.back();
    empty_.pop_back();
    return slot;
  }
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

// A slot for what the layer after this one will want: an empty one, or what the pass is done with.
std::optional<int> ExpertCache::slot_ahead(int layer) {
  std::optional<int> slot;
  if (!empty_.empty()) {
    slot = empty_.back();
    empty_.pop_back();
    return slot;
  }
  slot = scanned_victim(layer);
  if (!slot && scanned_total_ < window()) slot = policy_victim();
  if (slot) evict(*slot);
  return slot;
}

std::size_t ExpertCache::window() const {
  return std::clamp(usable_ / 8, min_window, max_window);
}

// The oldest that a prefill brought for this layer and nobody uses.
std::optional<int> ExpertCache::scanned_victim(int layer) {
  std::deque<int>& slots = scanned_[static_cast<std::size_t>(layer)];
  for (std::size_t left = slots.size(); left > 0; --left) {
    const int index = slots.front();
    const Slot& slot = slots_[static_cast<std::size_t>(index)];
    const bool outdated = !slot.scanned || layer_of(slot.key) != layer;
    const bool idle = slot.state == SlotState::ready && slot.pins == 0;
    if (!outdated && !idle) slots.push_back(index);
    slots.pop_front();
    if (!outdated && idle) return index;
  }
  return std::nullopt;
}

std::optional<int> ExpertCache::policy_victim() {
  const auto idle = [&](Key key) {
    const Slot& slot = slots_[static_cast<std::size_t>(slot_of_[static_cast<std::size_t>(key)])];
    return slot.state == SlotState::ready && slot.pins == 0;
  };
  const std::optional<Key> key = policy_->victim(idle);
  if (!key) return std::nullopt;
  return slot_of_[static_cast<std::size_t>(*key)];
}

void ExpertCache::mark_scanned(int index) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  const auto layer = static_cast<std::size_t>(layer_of(slot.key));
  try {
    scanned_[layer].push_back(index);
  } catch (const std::bad_alloc&) {
    policy_->used(slot.key);  // so that it can go when its time comes
    return;
  }
  slot.scanned = true;
  ++scanned_count_[layer];
  ++scanned_total_;
}

void ExpertCache::unmark_scanned(int index) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  if (!std::exchange(slot.scanned, false)) return;
  --scanned_count_[static_cast<std::size_t>(layer_of(slot.key))];
  --scanned_total_;
}

// The slot's expert is no longer resident; the slot belongs to the caller.
void ExpertCache::evict(int index) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  unmark_scanned(index);
  policy_->dropped(slot.key);
  slot_of_[static_cast<std::size_t>(slot.key)] = -1;
  if (slot.state == SlotState::ready) --resident_;
  slot = {};
}

}  // namespace hearth::engine
