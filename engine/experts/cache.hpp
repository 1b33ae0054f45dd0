// The experts in memory, the ones on their way, and who has to go for them: a policy over a
// SlotPool, which an ExpertLoader fills. Lends experts to the forward pass. The budget may change
// while it runs.
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

struct ExpertCacheOptions {
  std::uint64_t budget_bytes = ~std::uint64_t{0};  // for slots; more than all experts is cut
  std::optional<ReaderKind> reader{};
  PolicyKind policy = PolicyKind::lrfu;
  double half_life = default_half_life;  // of PolicyKind::lrfu
  bool prefetch = true;                  // see ExpertCache::prefetch_pays
  std::unique_ptr<RoutingTrace> trace{};
  ExpertDigests* digests = nullptr;  // what every read is checked against; null: nothing
};

// Threading: lend, prefetch_pays and prefetch on the computing thread, everything else from any.
class ExpertCache final : private Leases {
 public:
  // Fewest slots that work at all; fewer than the experts of a token are slow.
  static constexpr std::size_t min_slots = 4;

  // Throws Error where the budget holds fewer than min_slots. `files` are the store's.
  ExpertCache(kernels::Backend& backend, const ExpertStore& store,
              std::span<const std::unique_ptr<File>> files, ExpertCacheOptions options);
  ExpertCache(const ExpertCache&) = delete;
  ExpertCache& operator=(const ExpertCache&) = delete;

  // Calls use(Leases&) with the leases of a layer's experts; when it returns or throws they are
  // given back, and what was not read for them by then is not read. One at a time. From the moment
  // that `interrupt` (may be null) is set no read for them begins, and nothing is waited for; once
  // set it stays so until they are gone.
  template <class Use>
  void lend(LayerId layer, std::span<const ExpertId> experts, Pass pass,
            const std::atomic<bool>* interrupt, Use&& use) {
    try {
      begin(layer, experts, pass, interrupt);
      std::forward<Use>(use)(static_cast<Leases&>(*this));
    } catch (...) {
      end();
      throw;
    }
    end();
  }
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

  // Runs `task` once, at the next lend, on its thread and under the cache's lock: it may not call
  // the cache. Replaces an earlier one.
  void tell_next_use(std::function<void()> task);

  // How often each expert was used lately, by key: uses, halved every so often.
  std::vector<float> recent_uses() const;
  // Before the first use.
  void set_recent_uses(std::vector<float> uses);

 private:
  using Key = ExpertStore::Key;

  // The experts of one lend.
  struct Request {
    struct Waiting {
      ExpertId expert;
      int slot;
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
    std::vector<int> lent;         // slots of the leases handed out; pinned
  };

  // Of the open request.
  std::vector<Lease> next() override;
  void release(std::span<const Lease> leases) override;

  void begin(LayerId layer, std::span<const ExpertId> experts, Pass pass,
             const std::atomic<bool>* interrupt);
  void end();
  void begin_demanded() HEARTH_REQUIRES(mutex_);
  void wait_for(ExpertId expert, int slot, bool streamed) HEARTH_REQUIRES(mutex_);
  void unpin(int slot) HEARTH_REQUIRES(mutex_);
  void take_ready(std::vector<Lease>& ready) HEARTH_REQUIRES(mutex_);

  void pump_reads() HEARTH_REQUIRES(mutex_);
  void pump_reads_if_possible() noexcept HEARTH_REQUIRES(mutex_);
  void list_ahead(LayerId layer) HEARTH_REQUIRES(mutex_);
  void load(int slot, Key key, Urgency urgency) HEARTH_REQUIRES(mutex_);
  void load_again(int slot) noexcept HEARTH_REQUIRES(mutex_);
  void give_up(int slot, std::string error) noexcept HEARTH_REQUIRES(mutex_);
  void issue_warm_reads() HEARTH_REQUIRES(mutex_);
  void count_use(Key key, float uses) HEARTH_REQUIRES(mutex_);
  void loaded(ExpertLoader::Outcome outcome) noexcept;
  int layer_of(Key key) const { return key / store_.experts_per_layer(); }

  const ExpertStore& store_;
  const std::string policy_name_;
  ExpertDigests* const digests_;
  bool may_prefetch_;  // constant once made

  mutable Mutex mutex_;
  Condition changed_;  // a read has ended
  const std::unique_ptr<RoutingTrace> trace_ HEARTH_GUARDED_BY(mutex_);
  const std::unique_ptr<Policy> policy_ HEARTH_GUARDED_BY(mutex_);
  SlotPool pool_ HEARTH_GUARDED_BY(mutex_);
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
