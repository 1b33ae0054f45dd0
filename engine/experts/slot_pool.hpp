// The slots of one device: an arena of equal parts, what each holds, and whose content goes where
// none is empty. Reads nothing and waits for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/experts.hpp"
#include "engine/experts/policy.hpp"
#include "engine/experts/reader.hpp"
#include "engine/experts/store.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

enum class SlotState : std::uint8_t {
  empty,
  loading,  // from the disk, or from another device
  ready,
  failed,      // its read went wrong; kept until those who wait have seen the error
  leaving,     // its content is being copied to another device
  given_back,  // its memory belongs to the system
};

struct Slot {
  ExpertStore::Key key = -1;
  SlotState state = SlotState::empty;
  bool scanned = false;     // brought by a prefill, not yet used by decoding
  bool prefetched = false;  // nobody has asked for it yet
  bool streamed = false;    // read by the prefill that pins it
  int pins = 0;             // of those who compute with it, wait for it, or check it
  ReadResult failure;       // of a failed one

  bool idle() const { return state == SlotState::ready && pins == 0; }
};

// Not thread-safe: the cache's mutex guards it.
class SlotPool {
 public:
  using Key = ExpertStore::Key;

  // The bytes of an arena of so many slots.
  static std::size_t arena_bytes(std::size_t slots, const ExpertStore& store);
  // `arena` is of the backend's device, which gets the experts' scales too; std::bad_alloc. Keeps
  // references: the policy is told what goes.
  SlotPool(kernels::Backend& backend, kernels::Buffer arena, std::size_t slots,
           const ExpertStore& store, Policy& policy);

  std::size_t size() const { return slots_.size(); }
  std::size_t usable() const { return usable_; }  // slots not given back
  std::size_t resident() const { return resident_; }
  std::uint64_t bytes() const { return usable_ * store_.slot_bytes(); }
  Slot& at(int slot) { return slots_[static_cast<std::size_t>(slot)]; }
  // The slot that holds an expert, or will when its read ends; -1: none.
  int find(Key key) const { return slot_of_[static_cast<std::size_t>(key)]; }
  ExpertWeights weights(int slot) const;
  std::span<std::byte> memory(int slot) const;  // of the host's pool
  const kernels::Buffer& arena() const { return arena_; }
  std::size_t offset(int slot) const {  // in the arena, of slot_bytes
    return static_cast<std::size_t>(slot) * store_.slot_bytes();
  }

  // An empty slot belongs to the caller once taken, until it is filled or put back.
  std::size_t empty() const { return empty_.size(); }
  std::optional<int> take_empty();
  void put_back(int slot);
  void fill(int slot, Key key);  // it is on its way
  void set_ready(int slot);
  void leave(int slot);  // an idle one's expert is another pool's; put back when the copy is over
  // The slot's expert is no longer resident; the slot belongs to the caller.
  void evict(int slot);

  // An empty slot for an expert of the layer, or one whose content is given up.
  std::optional<int> take(Pass pass, int layer);
  // A slot for what the layer after this one will want.
  std::optional<int> take_ahead(int layer);
  // Of the next few idle slots, round and round, that whose expert the policy ranks lowest.
  std::optional<int> sampled_victim();
  // Experts that a prefill has read, or is reading, and not yet computed, at most.
  std::size_t window() const;

  void mark_scanned(int slot);
  void unmark_scanned(int slot);

  // Changes how many slots are usable: as far as those to go are idle, or up to size().
  void resize(std::size_t slots);
  // Empties the idle slots.
  void forget();

 private:
  std::optional<int> scanned_victim(int layer);
  std::optional<int> policy_victim();
  int layer_of(Key key) const { return key / store_.experts_per_layer(); }

  kernels::Backend& backend_;
  const ExpertStore& store_;
  Policy& policy_;
  kernels::Buffer arena_;
  kernels::Buffer scales_;  // of all experts
  std::vector<Slot> slots_;
  std::vector<int> slot_of_;  // by key
  std::vector<int> empty_;    // slots
  std::size_t usable_;
  std::size_t resident_ = 0;              // slots that are ready
  std::vector<std::deque<int>> scanned_;  // by layer: slots, oldest first; some may be outdated
  std::vector<std::size_t> scanned_count_;
  std::size_t scanned_total_ = 0;
  std::size_t sampled_ = 0;  // the slot where the next sample begins
};

}  // namespace hearth::engine
