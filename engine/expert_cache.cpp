// See expert_cache.hpp.
#include "engine/expert_cache.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hearth::engine {

namespace {

// Experts of a prefill that are read ahead or lie there to be computed: enough for the disk's full
// speed, little enough to leave the others alone.
constexpr std::size_t scan_window = 24;
// Experts of the warm start under way: a demand waits for few of them.
constexpr int warm_at_once = 4;
// Recent uses are halved after so many, some thousand tokens of the 80B.
constexpr std::uint64_t uses_to_halve = 2'000'000;
// A prefill says less about what decoding will want.
constexpr float prefill_use = 0.1F;
// Buffers of this size and more have pages of their own.
constexpr std::size_t least_arena = std::size_t{4} << 20;
constexpr auto wait_slice = std::chrono::milliseconds(2);  // between two looks at the interrupt

}  // namespace

// Keeps a slot's content where it is.
struct ExpertCache::Pin {
  ExpertCache& cache;
  int slot;

  Pin(ExpertCache& in, int index) : cache(in), slot(index) {}  // under the cache's mutex
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin() {
    const std::scoped_lock lock(cache.mutex_);
    Slot& mine = cache.slots_[static_cast<std::size_t>(slot)];
    if (--mine.pins > 0 || mine.state != SlotState::failed) return;
    mine = {};
    cache.empty_.push_back(slot);
  }
};

class ExpertCache::Pending final : public Leases {
 public:
  Pending(ExpertCache& cache, LayerId layer, Pass pass)
      : cache_(cache), layer_(layer), pass_(pass) {}

  // Under the cache's mutex, like begin_reads.
  void add(ExpertId expert, int slot) {
    if (slot < 0) {
      missing_.push_back(expert);
    } else {
      waiting_.push_back({expert, pin(slot)});
    }
  }

  // Starts reads as far as there are slots for them.
  void begin_reads() {
    std::size_t busy = waiting_.size() + handed_out_;
    while (!missing_.empty()) {
      if (pass_ == Pass::prefill && busy >= scan_window) return;
      const ExpertId expert = missing_.front();
      const Key key = cache_.store_.key(layer_, expert);
      int slot = cache_.slot_of_[static_cast<std::size_t>(key)];
      if (slot < 0) {  // else somebody has begun to read it meanwhile
        const std::optional<int> taken = cache_.take_slot(pass_, layer_.value);
        if (!taken) return;
        slot = *taken;
        cache_.load(slot, key, Urgency::demand);
        if (pass_ == Pass::decode) {
          cache_.policy_->used(key);
        } else {
          cache_.mark_scanned(slot);
        }
      }
      waiting_.push_back({expert, pin(slot)});
      missing_.pop_front();
      ++busy;
    }
  }

  std::vector<Lease> next(const std::atomic<bool>* interrupt) override {
    using Clock = std::chrono::steady_clock;
    std::vector<Lease> ready;  // goes after the lock: what it pins needs the mutex to go
    std::unique_lock lock(cache_.mutex_);
    handed_out_ = 0;
    for (;;) {
      begin_reads();
      take_ready(ready);
      const bool stop = interrupt != nullptr && interrupt->load(std::memory_order_relaxed);
      if (!ready.empty() || waiting_.empty() || stop) break;
      const auto began = Clock::now();
      cache_.changed_.wait_for(lock, wait_slice);
      cache_.status_.wait_seconds += std::chrono::duration<double>(Clock::now() - began).count();
    }
    if (ready.empty() && waiting_.empty() && !missing_.empty()) {
      throw Error("no slot of the expert cache is free: its budget is too small");
    }
    handed_out_ = ready.size();
    return ready;
  }

 private:
  struct Waiting {
    ExpertId expert;
    std::shared_ptr<Pin> pin;
  };

  std::shared_ptr<Pin> pin(int slot) {
    ++cache_.slots_[static_cast<std::size_t>(slot)].pins;
    return std::make_shared<Pin>(cache_, slot);
  }

  void take_ready(std::vector<Lease>& ready) {
    for (std::size_t i = 0; i < waiting_.size();) {
      const int index = waiting_[i].pin->slot;
      const Slot& slot = cache_.slots_[static_cast<std::size_t>(index)];
      if (slot.state == SlotState::failed) throw Error(slot.error);
      if (slot.state != SlotState::ready) {
        ++i;
        continue;
      }
      const std::size_t offset = static_cast<std::size_t>(index) * cache_.store_.slot_bytes();
      ready.emplace_back(waiting_[i].expert, cache_.store_.weights(slot.key, cache_.arena_, offset),
                         std::move(waiting_[i].pin));
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  ExpertCache& cache_;
  LayerId layer_;
  Pass pass_;
  std::vector<Waiting> waiting_;  // resident or on their way
  std::deque<ExpertId> missing_;  // without a slot yet
  std::size_t handed_out_ = 0;    // by the last next(), perhaps still in use
};

ExpertCache::ExpertCache(kernels::Backend& backend, const ExpertStore& store,
                         std::span<const std::unique_ptr<File>> files, ExpertCacheOptions options)
    : backend_(backend),
      store_(store),
      policy_name_(name(options.policy)),
      trace_(std::move(options.trace)) {
  const std::size_t slots = static_cast<std::size_t>(
      std::min<std::uint64_t>(options.budget_bytes / store.slot_bytes(), store.size()));
  if (slots < std::min(least_slots, store.size())) {
    throw Error("the memory for experts, " + std::to_string(options.budget_bytes) +
                " bytes, holds " + std::to_string(slots) + " of " +
                std::to_string(store.slot_bytes()) + " bytes each; at least " +
                std::to_string(least_slots) + " are needed");
  }
  full_budget_ = slots * store.slot_bytes();
  arena_ = backend.allocate(std::max<std::size_t>(full_budget_, least_arena));
  slots_.resize(slots);
  usable_ = slots;
  for (std::size_t i = slots; i-- > 0;) empty_.push_back(static_cast<int>(i));
  slot_of_.assign(store.size(), -1);
  uses_.assign(store.size(), 0);
  policy_ = make_policy(options.policy, store.size(), options.half_life);
  scanned_.resize(static_cast<std::size_t>(store.layers()));
  scanned_count_.resize(scanned_.size());
  reader_ = open_reader(options.reader, files);
  const bool direct = std::ranges::all_of(files, [](const auto& file) { return file->direct(); });
  reader_name_ = reader_->description() + (direct ? ", past the page cache" : ", buffered");
}

ExpertCache::~ExpertCache() {
  const std::scoped_lock lock(mutex_);
  to_warm_.clear();
}

std::unique_ptr<Leases> ExpertCache::acquire(LayerId layer, std::span<const ExpertId> experts,
                                             Pass pass) {
  auto pending = std::make_unique<Pending>(*this, layer, pass);
  const std::scoped_lock lock(mutex_);
  if (trace_) trace_->add(layer, experts, pass);
  for (const ExpertId expert : experts) {
    const Key key = store_.key(layer, expert);
    count_use(key, pass == Pass::decode ? 1 : prefill_use);
    const int index = slot_of_[static_cast<std::size_t>(key)];
    pending->add(expert, index);
    const bool there =
        index >= 0 && slots_[static_cast<std::size_t>(index)].state == SlotState::ready;
    ++(there ? status_.hits : status_.misses);
    if (index < 0) continue;
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (std::exchange(slot.prefetched, false)) ++status_.prefetch_useful;
    if (pass == Pass::prefill) continue;
    unmark_scanned(index);
    policy_->used(key);
  }
  pending->begin_reads();
  return pending;
}

void ExpertCache::prefetch(LayerId layer, std::span<const ExpertId> experts) {
  const std::scoped_lock lock(mutex_);
  for (const ExpertId expert : experts) {
    const Key key = store_.key(layer, expert);
    if (slot_of_[static_cast<std::size_t>(key)] >= 0) continue;
    const std::optional<int> slot = take_slot(Pass::decode, layer.value);
    if (!slot) return;
    load(*slot, key, Urgency::ahead);
    policy_->used(key);
    slots_[static_cast<std::size_t>(*slot)].prefetched = true;
    ++status_.prefetched;
  }
}

// --- Slots ---------------------------------------------------------------------------------------

std::span<std::byte> ExpertCache::memory(int slot) const {
  return backend_.map(arena_).subspan(static_cast<std::size_t>(slot) * store_.slot_bytes(),
                                      store_.slot_bytes());
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
  const auto most = std::ranges::max_element(scanned_count_);
  const int fullest = static_cast<int>(most - scanned_count_.begin());
  std::optional<int> slot;
  if (pass == Pass::decode) {
    slot = scanned_victim(fullest);
    if (!slot) slot = policy_victim();
  } else {
    const std::size_t share = std::max(usable_ / scanned_.size(), scan_window);
    if (scanned_count_[static_cast<std::size_t>(layer)] >= share) slot = scanned_victim(layer);
    if (!slot && *most > share) slot = scanned_victim(fullest);
    if (!slot && scanned_total_ < scan_window) slot = policy_victim();
    if (!slot) slot = scanned_victim(layer);
    if (!slot) slot = scanned_victim(fullest);
    if (!slot) slot = policy_victim();
  }
  if (slot) evict(*slot);
  return slot;
}

// The oldest that a prefill brought for this layer and nobody uses.
std::optional<int> ExpertCache::scanned_victim(int layer) {
  std::deque<int>& slots = scanned_[static_cast<std::size_t>(layer)];
  for (std::size_t left = slots.size(); left > 0; --left) {
    const int index = slots.front();
    slots.pop_front();
    const Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (!slot.scanned || layer_of(slot.key) != layer) continue;  // outdated
    if (slot.state == SlotState::ready && slot.pins == 0) return index;
    slots.push_back(index);
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
  slot.scanned = true;
  scanned_[layer].push_back(index);
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

void ExpertCache::load(int index, Key key, Urgency urgency) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  slot.key = key;
  slot.state = SlotState::loading;
  slot_of_[static_cast<std::size_t>(key)] = index;
  ReadJob job;
  job.reads = store_.reads(key, memory(index));
  job.urgency = urgency;
  for (const Read& read : job.reads) status_.bytes_read += read.least;
  job.done = [this, index](const std::string& error) { loaded(index, error); };
  reader_->submit(std::move(job));
}

void ExpertCache::loaded(int index, const std::string& error) {
  {
    const std::scoped_lock lock(mutex_);
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (slot.background) --warming_;
    slot.background = false;
    if (error.empty()) {
      slot.state = SlotState::ready;
      ++resident_;
    } else {
      const int pins = slot.pins;
      evict(index);
      slot.pins = pins;
      slot.error = error;
      slot.state = pins > 0 ? SlotState::failed : SlotState::empty;
      if (pins == 0) empty_.push_back(index);
      to_warm_.clear();  // whoever needs the expert will hear why
    }
    warm_some();
  }
  changed_.notify_all();
}

// --- Warm start ----------------------------------------------------------------------------------

void ExpertCache::warm(std::vector<Key> keys) {
  const std::scoped_lock lock(mutex_);
  warm_list_ = std::move(keys);
  to_warm_.assign(warm_list_.begin(), warm_list_.end());
  status_.warm_total = to_warm_.size();
  warm_some();
}

void ExpertCache::warm_some() {
  while (warming_ < warm_at_once && !to_warm_.empty() && !empty_.empty()) {
    const Key key = to_warm_.front();
    to_warm_.pop_front();
    if (slot_of_[static_cast<std::size_t>(key)] >= 0) continue;
    const int index = empty_.back();
    empty_.pop_back();
    load(index, key, Urgency::background);
    slots_[static_cast<std::size_t>(index)].background = true;
    policy_->used(key);
    ++warming_;
  }
  if (empty_.empty()) to_warm_.clear();
  if (!to_warm_.empty() || warming_ > 0) return;
  // They were read most useful first, so a policy that goes by time would give up the best first.
  for (std::size_t i = warm_list_.size(); i-- > 0;) {
    const int index = slot_of_[static_cast<std::size_t>(warm_list_[i])];
    if (index >= 0 && !slots_[static_cast<std::size_t>(index)].scanned) {
      policy_->used(warm_list_[i]);
    }
  }
  warm_list_.clear();
}

void ExpertCache::count_use(Key key, float uses) {
  uses_[static_cast<std::size_t>(key)] += uses;
  if (++use_events_ % uses_to_halve != 0) return;
  for (float& some : uses_) some /= 2;
}

std::vector<float> ExpertCache::recent_uses() const {
  const std::scoped_lock lock(mutex_);
  return uses_;
}

void ExpertCache::set_recent_uses(std::vector<float> uses) {
  const std::scoped_lock lock(mutex_);
  if (uses.size() == uses_.size()) uses_ = std::move(uses);
}

// --- Budget --------------------------------------------------------------------------------------

void ExpertCache::resize(std::uint64_t budget_bytes) {
  const std::scoped_lock lock(mutex_);
  const auto wanted = static_cast<std::size_t>(budget_bytes / store_.slot_bytes());
  const std::size_t target =
      std::clamp(wanted, std::min(least_slots, slots_.size()), slots_.size());
  for (std::size_t i = 0; i < slots_.size() && usable_ < target; ++i) {
    if (slots_[i].state != SlotState::given_back) continue;
    slots_[i] = {};
    empty_.push_back(static_cast<int>(i));
    ++usable_;
  }
  while (usable_ > target) {
    const std::optional<int> index = take_slot(Pass::decode, 0);
    if (!index) return;  // all in use: what is left goes the next time
    slots_[static_cast<std::size_t>(*index)].state = SlotState::given_back;
    backend_.discard(arena_, static_cast<std::size_t>(*index) * store_.slot_bytes(),
                     store_.slot_bytes());
    --usable_;
  }
}

ExpertStatus ExpertCache::status() const {
  const std::scoped_lock lock(mutex_);
  ExpertStatus status = status_;
  status.expert_bytes = store_.expert_bytes();
  status.experts = store_.size();
  status.slots = usable_;
  status.resident = resident_;
  status.budget_bytes = usable_ * store_.slot_bytes();
  status.warming = !to_warm_.empty() || warming_ > 0;
  status.warm_done =
      status.warm_total - to_warm_.size() - static_cast<std::size_t>(std::max(warming_, 0));
  status.reader = reader_name_;
  status.policy = policy_name_;
  return status;
}

}  // namespace hearth::engine
