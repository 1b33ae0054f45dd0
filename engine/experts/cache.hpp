// The experts in memory, the ones on their way, and who has to go for them: a cache over an
// ExpertStore, an AsyncReader and a Policy. One arena of slots of equal size; the budget may
// change while it runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/digests.hpp"
#include "engine/experts/experts.hpp"
#include "engine/experts/policy.hpp"
#include "engine/experts/prefetch_throttle.hpp"
#include "engine/experts/reader.hpp"
#include "engine/experts/store.hpp"
#include "engine/experts/trace.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

struct ExpertCacheOptions {
  std::uint64_t budget_bytes = ~std::uint64_t{0};  // for slots; more than all experts is cut
  std::optional<ReaderKind> reader{};
  PolicyKind policy = PolicyKind::lrfu;
  double half_life = default_half_life;  // of PolicyKind::lrfu
  bool prefetch = true;                  // see ExpertCache::prefetch_pays
  std::unique_ptr<RoutingTrace> trace{};
  ExpertDigests* digests = nullptr;  // what every read is checked against; null: nothing
};

// Threading: acquire, prefetch_pays and prefetch on the computing thread, everything else from any.
class ExpertCache {
 public:
  // Fewest slots that work at all; fewer than the experts of a token are slow.
  static constexpr std::size_t min_slots = 4;

  // Throws Error where the budget holds fewer than min_slots. `files` are the store's.
  ExpertCache(kernels::Backend& backend, const ExpertStore& store,
              std::span<const std::unique_ptr<File>> files, ExpertCacheOptions options);
  ~ExpertCache();
  ExpertCache(const ExpertCache&) = delete;
  ExpertCache& operator=(const ExpertCache&) = delete;

  // One at a time. From the moment that `interrupt` (may be null) is set no read for them begins,
  // and nothing is waited for; once set it stays so until they are gone.
  std::unique_ptr<Leases> acquire(LayerId layer, std::span<const ExpertId> experts, Pass pass,
                                  const std::atomic<bool>* interrupt);
  // Whether to guess what decoding will want of a layer, and have it read.
  bool prefetch_pays();
  // These may be wanted soon: reads what is missing while nothing else is read.
  void prefetch(LayerId layer, std::span<const ExpertId> experts);
  ExpertStatus status() const;

  // Shrinks at once as far as slots are not in use, the least useful first; or grows again, up to
  // the budget it was made with.
  void resize(std::uint64_t budget_bytes);

  // Empties the slots that are not in use. Their memory stays.
  void forget();

  // Reads these in order in the background while there are empty slots. Replaces an earlier list.
  void warm(std::vector<ExpertStore::Key> keys);

  // Runs `task` once, at the next acquire, on its thread and under the cache's lock: it may not
  // call the cache. Replaces an earlier one.
  void tell_next_use(std::function<void()> task);

  // How often each expert was used lately, by key: uses, halved every so often.
  std::vector<float> recent_uses() const;
  // Before the first use.
  void set_recent_uses(std::vector<float> uses);

 private:
  using Key = ExpertStore::Key;
  class Pending;
  struct Pin;

  enum class SlotState : std::uint8_t {
    empty,
    loading,
    ready,
    failed,      // its read went wrong; kept until those who wait have seen the error
    given_back,  // its memory belongs to the system
  };
  struct Slot {
    Key key = -1;
    SlotState state = SlotState::empty;
    bool scanned = false;     // brought by a prefill, not yet used by decoding
    bool prefetched = false;  // nobody has asked for it yet
    bool background = false;  // read for the warm start
    int pins = 0;
    std::string error;  // of the last read
  };

  // All under mutex_.
  void pump_reads();
  void pump_reads_if_possible() noexcept;
  void list_ahead(LayerId layer);
  std::size_t window() const;
  std::optional<int> take_slot(Pass pass, int layer);
  std::optional<int> slot_ahead(int layer);
  std::optional<int> scanned_victim(int layer);
  std::optional<int> policy_victim();
  void mark_scanned(int slot);
  void unmark_scanned(int slot);
  void evict(int slot);
  void load(int slot, Key key, Urgency urgency);
  void issue_warm_reads();
  void count_use(Key key, float uses);
  // Takes mutex_ itself.
  void loaded(int slot, Key key, std::uint64_t bytes, std::string error) noexcept;
  void load_again(int slot) noexcept;
  void give_up(int slot, std::string error) noexcept;
  std::span<std::byte> memory(int slot) const;
  int layer_of(Key key) const { return key / store_.experts_per_layer(); }

  kernels::Backend& backend_;
  const ExpertStore& store_;
  std::uint64_t full_budget_;
  std::string policy_name_;
  std::string reader_name_;
  kernels::Buffer arena_;
  std::unique_ptr<RoutingTrace> trace_;
  ExpertDigests* const digests_;
  bool may_prefetch_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // a read has ended
  std::vector<Slot> slots_;
  std::vector<int> slot_of_;  // by key; -1: not resident and not loading
  std::vector<int> empty_;    // slots
  std::size_t usable_ = 0;    // slots not given back
  std::size_t resident_ = 0;  // slots that are ready
  std::unique_ptr<Policy> policy_;
  PrefetchThrottle prefetch_throttle_;    // of decoding
  std::vector<std::deque<int>> scanned_;  // by layer: slots, oldest first; some may be outdated
  std::vector<std::size_t> scanned_count_;
  std::size_t scanned_total_ = 0;
  Pending* pending_ = nullptr;  // the acquire that is under way
  std::deque<Key> ahead_;       // of the layer after it, to be read once it has begun all its reads
  std::size_t streamed_ = 0;    // experts that prefills have read and hold
  std::size_t loading_ = 0;     // slots that are being read
  std::vector<float> uses_;
  std::uint64_t use_events_ = 0;
  std::vector<Key> warm_list_;
  std::deque<Key> to_warm_;  // of the list, still to be read
  int warming_ = 0;          // background reads under way
  ExpertStatus status_;
  std::function<void()> next_use_;

  std::unique_ptr<AsyncReader> reader_;  // last: it is the first to go, and calls back until then
};

}  // namespace hearth::engine
