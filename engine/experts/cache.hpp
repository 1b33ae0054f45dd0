// The experts in memory, the ones on their way, and who has to go for them: one policy over a
// SlotPool for each device, of which an ExpertLoader fills the host's. Lends experts to the forward
// pass. The host's budget may change while it runs.
//
// An expert is in one pool at most. Decoding moves those that it uses much from the host's pool to
// a device's, a few a step; what has to go there for them comes back to the host's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/experts/digests.hpp"
#include "engine/experts/experts.hpp"
#include "engine/experts/loader.hpp"
#include "engine/experts/policy.hpp"
#include "engine/experts/prefetch_throttle.hpp"
#include "engine/experts/slot_pool.hpp"
#include "engine/experts/store.hpp"
#include "engine/experts/trace.hpp"
#include "engine/support/mutex.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// Slots on a device.
struct DeviceSlots {
  kernels::Backend* backend = nullptr;  // used on the computing thread alone
  // More than all experts is cut; 0, of a device beside the host: none.
  std::uint64_t budget_bytes = ~std::uint64_t{0};
};

struct ExpertCacheOptions {
  std::vector<DeviceSlots> devices;  // the host first
  std::optional<ReaderKind> reader{};
  PolicyKind policy = PolicyKind::lrfu;
  double half_life = default_half_life;  // of PolicyKind::lrfu
  bool prefetch = true;                  // see ExpertCache::prefetch_pays
  std::unique_ptr<RoutingTrace> trace{};
  ExpertDigests* digests = nullptr;  // what every read is checked against; null: nothing
  std::function<void(const std::string&)> note = {};  // for the log, from the computing thread
};

// Threading: lend, prefetch_pays, prefetch and what changes the devices on the computing thread,
// everything else from any.
class ExpertCache final : private Leases {
 public:
  // Fewest slots that work at all; fewer than the experts of a token are slow.
  static constexpr std::size_t min_slots = 4;
  // On a device; one of them is kept free, so that two experts can change places.
  static constexpr std::size_t min_device_slots = 2;

  // Throws Error where a budget holds fewer slots than that; a device with less room than its
  // budget gets fewer slots, or none. `files` are the store's.
  ExpertCache(const ExpertStore& store, std::span<const std::unique_ptr<File>> files,
              ExpertCacheOptions options);
  // Waits for copies that are under way: they use memory that goes with it.
  ~ExpertCache();
  ExpertCache(const ExpertCache&) = delete;
  ExpertCache& operator=(const ExpertCache&) = delete;

  // Calls use(Leases&) with the leases of a layer's experts; when it returns or throws they are
  // given back, and what was not read for them by then is not read. Where a device fails, the error
  // names it, and what it was given to keep is read again when it is wanted. One at a time. From
  // the moment that `interrupt` (may be null) is set no read for them begins, and nothing is waited
  // for; once set it stays so until they are gone.
  template <class Use>
  void lend(LayerId layer, std::span<const ExpertId> experts, Pass pass,
            const std::atomic<bool>* interrupt, Use&& use) {
    try {
      begin(layer, experts, pass, interrupt);
      use(static_cast<Leases&>(*this));
      end();
      if (has_devices_ && pass == Pass::decode) promote(layer, experts);
    } catch (...) {
      end();
      if (has_devices_) abandon_moves();
      throw;
    }
  }

  // Empties and leaves the devices beside the host, whatever state they are in: what they held is
  // read when it is wanted. Between two lends, as what follows.
  void release_devices() noexcept;
  // Uses these, of which none is in use yet; what was used most goes there first, by and by.
  void take_devices(std::span<const DeviceSlots> devices);
  bool has_devices() const { return has_devices_; }  // on the computing thread
  // Half of the devices' slots go, and what is in all of them is read again when it is wanted, for
  // there is no room for something else. False: there are none.
  bool halve_devices();
  // A lease's `device` is its place among these.
  void number_devices(std::span<kernels::Backend* const> all);

  // Whether to predict what decoding will want of a layer, and have it read.
  bool prefetch_pays();
  // These may be wanted soon: reads what is missing while nothing else is read.
  void prefetch(LayerId layer, std::span<const ExpertId> experts);
  ExpertStatus status() const;

  // Of the host: shrinks at once as far as slots are not in use, the least useful first; or grows
  // again, up to the limit and the budget it was made with.
  void resize(std::uint64_t budget_bytes);
  // What the host has for experts at most, beside what else is in its memory by now.
  void limit(std::uint64_t budget_bytes);

  // Empties the slots that are not in use, once what was read is checked. Their memory stays.
  void forget();

  // Reads these, the most useful first, in the background while there are empty slots. Where there
  // are devices beside the host, the first of those that were used lately go to them, in the same
  // order: at the next lends, as copies are the computing thread's. Replaces an earlier list.
  void warm(std::vector<ExpertStore::Key> keys);
  // How many experts the devices have room for, the host first among them.
  std::size_t room() const;

  // Runs `task` once, at the next lend, on its thread and under the cache's lock: it may not call
  // the cache. Replaces an earlier one.
  void tell_next_use(std::function<void()> task);

  // How often each expert was used lately, by key: uses, halved every so often.
  std::vector<float> recent_uses() const;
  // Before the first use.
  void set_recent_uses(std::vector<float> uses);

 private:
  using Key = ExpertStore::Key;

  // A slot of a pool: of the host's, 0, or of a device's.
  struct SlotRef {
    std::size_t device = 0;
    int slot = -1;
    bool operator==(const SlotRef&) const = default;
  };

  // Copies under way between the host and a device.
  struct Move {
    std::size_t device = 0;
    int host_slot = -1;     // whose expert went up; what comes down is there when it has passed
    int device_slot = -1;   // where it went
    int freed_slot = -1;    // of the device, whose expert comes down; -1: none does
    kernels::Event passed;  // of the last of them
  };

  // The experts of one lend.
  struct Request {
    struct Waiting {
      ExpertId expert;
      SlotRef place;
    };
    bool interrupted() const {
      return interrupt != nullptr && interrupt->load(std::memory_order_relaxed);
    }

    bool open = false;
    LayerId layer;
    Pass pass = Pass::decode;
    const std::atomic<bool>* interrupt = nullptr;
    std::vector<Waiting> waiting;  // resident or on their way; pinned
    std::deque<ExpertId> missing;  // without a slot yet
    std::vector<SlotRef> lent;     // of the leases handed out; pinned
  };

  // Of the open request.
  std::vector<Lease> next() override;
  void release(std::span<const Lease> leases) override;

  void begin(LayerId layer, std::span<const ExpertId> experts, Pass pass,
             const std::atomic<bool>* interrupt);
  void end();  // once or more
  void begin_demanded() HEARTH_REQUIRES(mutex_);
  void wait_for(ExpertId expert, SlotRef place, bool streamed) HEARTH_REQUIRES(mutex_);
  void unpin(SlotRef place) HEARTH_REQUIRES(mutex_);
  void take_ready(std::vector<Lease>& ready) HEARTH_REQUIRES(mutex_);

  void pump_reads() HEARTH_REQUIRES(mutex_);
  void pump_reads_if_possible() noexcept HEARTH_REQUIRES(mutex_);
  void list_ahead(LayerId layer) HEARTH_REQUIRES(mutex_);
  void load(int slot, Key key, Urgency urgency) HEARTH_REQUIRES(mutex_);
  void load_again(int slot) noexcept HEARTH_REQUIRES(mutex_);
  void give_up(int slot, ReadResult result) noexcept HEARTH_REQUIRES(mutex_);
  void drop(SlotRef place, ReadResult result) noexcept HEARTH_REQUIRES(mutex_);
  void issue_warm_reads() HEARTH_REQUIRES(mutex_);
  void issue_warm_reads_if_possible() noexcept HEARTH_REQUIRES(mutex_);
  void count_use(Key key, float uses) HEARTH_REQUIRES(mutex_);
  void begin_check(int slot) noexcept HEARTH_REQUIRES(mutex_);
  void give_up_different(int slot) noexcept HEARTH_REQUIRES(mutex_);
  void loaded(ExpertLoader::Outcome outcome) noexcept;
  void checked(int slot, bool same) noexcept;

  // Between devices: cache_devices.cpp.
  void add_device(const DeviceSlots& wanted) HEARTH_REQUIRES(mutex_);
  void resize_host() HEARTH_REQUIRES(mutex_);
  std::size_t device_numbered(std::size_t number) const HEARTH_REQUIRES(mutex_);
  std::vector<Key> most_used() const HEARTH_REQUIRES(mutex_);
  void promote(LayerId layer, std::span<const ExpertId> experts);
  bool promote_from(int host_slot) HEARTH_REQUIRES(mutex_);
  std::size_t room_on_devices() const HEARTH_REQUIRES(mutex_);
  void list_warm_promotions(std::span<const Key> keys) HEARTH_REQUIRES(mutex_);
  void promote_warmed() HEARTH_REQUIRES(mutex_);
  void move_up(std::size_t device, int host_slot, int freed_slot) HEARTH_REQUIRES(mutex_);
  bool end_moves(bool wait) HEARTH_REQUIRES(mutex_);
  bool book_moves(bool wait) HEARTH_REQUIRES(mutex_);
  void abandon_moves() noexcept;
  SlotRef find(Key key) const HEARTH_REQUIRES(mutex_);
  SlotPool& pool(std::size_t device) HEARTH_REQUIRES(mutex_) {
    return device == 0 ? pool_ : devices_[device - 1]->slots;
  }
  Slot& slot_at(SlotRef place) HEARTH_REQUIRES(mutex_) { return pool(place.device).at(place.slot); }
  int layer_of(Key key) const { return key / store_.experts_per_layer(); }

  const ExpertStore& store_;
  const std::string policy_name_;
  ExpertDigests* const digests_;
  bool has_devices_ = false;  // beside the host; the computing thread's
  const std::function<void(const std::string&)> note_;
  bool may_prefetch_;  // constant once made

  mutable Mutex mutex_;
  Condition changed_;  // a read or a check has ended
  const std::unique_ptr<RoutingTrace> trace_ HEARTH_GUARDED_BY(mutex_);
  const std::unique_ptr<Policy> policy_ HEARTH_GUARDED_BY(mutex_);
  SlotPool pool_ HEARTH_GUARDED_BY(mutex_);                             // the host's
  std::uint64_t budget_ HEARTH_GUARDED_BY(mutex_) = ~std::uint64_t{0};  // as resize() has it
  std::uint64_t limit_ HEARTH_GUARDED_BY(mutex_) = ~std::uint64_t{0};
  struct DevicePool {
    kernels::Backend& backend;
    SlotPool slots;
    std::size_t number = 0;  // as leases have it
    std::uint64_t hits = 0;
    std::uint64_t promoted = 0;
    std::uint64_t demoted = 0;
  };
  std::vector<std::unique_ptr<DevicePool>> devices_ HEARTH_GUARDED_BY(mutex_);
  std::deque<Move> moves_ HEARTH_GUARDED_BY(mutex_);  // under way, in order
  // Of the warm start, still to go to a device.
  std::deque<Key> to_promote_ HEARTH_GUARDED_BY(mutex_);
  PrefetchThrottle prefetch_throttle_ HEARTH_GUARDED_BY(mutex_);  // of decoding
  Request request_ HEARTH_GUARDED_BY(mutex_);                     // kept for its memory
  // Experts that prefills have read and hold.
  std::size_t streamed_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::vector<float> uses_ HEARTH_GUARDED_BY(mutex_);
  std::uint64_t use_events_ HEARTH_GUARDED_BY(mutex_) = 0;
  ExpertStatus status_ HEARTH_GUARDED_BY(mutex_);
  std::function<void()> next_use_ HEARTH_GUARDED_BY(mutex_);

  // Under the mutex, but for withdraw. Last: it is the first to go, and calls back until then.
  ExpertLoader loader_;
};

}  // namespace hearth::engine
