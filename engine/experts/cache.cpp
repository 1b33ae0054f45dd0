// ExpertCache: requests, reads under way, warm start and budget.
#include "engine/experts/cache.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <new>
#include <utility>

#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

namespace {

// Experts of the warm start under way. The reader sees to it that a demand waits for few of them.
constexpr int warm_at_once = 8;
// Recent uses are halved after so many, some thousand tokens of the 80B.
constexpr std::uint64_t uses_to_halve = 2'000'000;
// A prefill says less about what decoding will want.
constexpr float prefill_use = 0.1F;
// Buffers of this size and more have pages of their own.
constexpr std::size_t min_arena = std::size_t{4} << 20;
const std::string no_memory = text_of(std::bad_alloc());
constexpr auto wait_slice = std::chrono::milliseconds(2);  // between two looks at the interrupt

}  // namespace

// Keeps a slot's content where it is.
struct ExpertCache::Pin {
  ExpertCache& cache;
  int slot;
  bool streamed;  // read by the prefill that holds it

  Pin(ExpertCache& in, int index, bool stream) : cache(in), slot(index), streamed(stream) {
    ++cache.slots_[static_cast<std::size_t>(slot)].pins;  // under the cache's mutex
    cache.streamed_ += streamed ? 1 : 0;
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin() {
    const std::scoped_lock lock(cache.mutex_);
    cache.streamed_ -= streamed ? 1 : 0;
    Slot& mine = cache.slots_[static_cast<std::size_t>(slot)];
    if (--mine.pins > 0) return;
    if (mine.state == SlotState::failed) {
      mine = {};
      cache.empty_.push_back(slot);
    }
    cache.pump_reads_if_possible();
  }
};

class ExpertCache::Pending final : public Leases {
 public:
  // A pin must not be given up under the mutex, so there is room for all from the beginning.
  Pending(ExpertCache& cache, LayerId layer, Pass pass, std::size_t experts,
          const std::atomic<bool>* interrupt)
      : cache_(cache), layer_(layer), pass_(pass), interrupt_(interrupt) {
    waiting_.reserve(experts);
  }
  ~Pending() override {
    {
      const std::scoped_lock lock(cache_.mutex_);
      if (cache_.pending_ == this) cache_.pending_ = nullptr;
    }
    if (waiting_.empty() && missing_.empty()) return;
    waiting_.clear();
    cache_.reader_->withdraw();
  }
  const std::atomic<bool>* interrupt() const { return interrupt_; }
  bool interrupted() const {
    return interrupt_ != nullptr && interrupt_->load(std::memory_order_relaxed);
  }

  // Under the cache's mutex, like begin_reads.
  void add(ExpertId expert, int slot) {
    if (slot < 0) {
      missing_.push_back(expert);
    } else {
      wait_for(expert, slot, false);
    }
  }

  // Starts reads as far as there are slots for them: at once, and whenever a read has ended or a
  // slot is free again, also while the computing thread computes.
  void begin_reads() {
    const bool prefill = pass_ == Pass::prefill;
    while (!missing_.empty() && !interrupted() &&
           (!prefill || cache_.streamed_ < cache_.window())) {
      const ExpertId expert = missing_.front();
      const Key key = cache_.store_.key(layer_, expert);
      int slot = cache_.slot_of_[static_cast<std::size_t>(key)];
      if (slot < 0) {  // else somebody has begun to read it meanwhile
        const std::optional<int> taken = cache_.take_slot(pass_, layer_.value);
        if (!taken) return;
        slot = *taken;
        cache_.load(slot, key, Urgency::demand);
        if (prefill) {
          cache_.mark_scanned(slot);
        } else {
          cache_.policy_->used(key);
        }
      }
      wait_for(expert, slot, prefill);
      missing_.pop_front();
    }
  }
  bool all_begun() const { return missing_.empty(); }

  std::vector<Lease> next() override {
    using Clock = std::chrono::steady_clock;
    std::vector<Lease> ready;  // goes after the lock: what it pins needs the mutex to go
    std::unique_lock lock(cache_.mutex_);
    for (;;) {
      if (interrupted()) return {};
      begin_reads();
      take_ready(ready);
      const bool over = waiting_.empty() && (missing_.empty() || cache_.loading_ == 0);
      if (!ready.empty() || over) break;
      const auto began = Clock::now();
      cache_.changed_.wait_for(lock, wait_slice);
      cache_.status_.wait_seconds += std::chrono::duration<double>(Clock::now() - began).count();
    }
    if (ready.empty() && waiting_.empty() && !missing_.empty() && cache_.loading_ == 0) {
      throw Error("no slot of the expert cache is free: its budget is too small");
    }
    return ready;
  }

 private:
  struct Waiting {
    ExpertId expert;
    std::shared_ptr<Pin> pin;
  };

  void wait_for(ExpertId expert, int slot, bool streamed) {
    waiting_.push_back({expert, std::make_shared<Pin>(cache_, slot, streamed)});
  }

  void take_ready(std::vector<Lease>& ready) {
    const auto slot_of = [&](const Waiting& each) -> const Slot& {
      return cache_.slots_[static_cast<std::size_t>(each.pin->slot)];
    };
    for (const Waiting& each : waiting_) {
      const Slot& slot = slot_of(each);
      if (slot.state != SlotState::failed) continue;
      if (slot.error == no_memory) throw std::bad_alloc();
      throw Error(slot.error);
    }
    // From here on nothing may throw: see above.
    std::vector<Waiting> later;
    later.reserve(waiting_.capacity());
    ready.reserve(waiting_.size());
    for (Waiting& each : waiting_) {
      if (slot_of(each).state != SlotState::ready) {
        later.push_back(std::move(each));
        continue;
      }
      const std::size_t offset =
          static_cast<std::size_t>(each.pin->slot) * cache_.store_.slot_bytes();
      ready.emplace_back(each.expert,
                         cache_.store_.weights(slot_of(each).key, cache_.arena_, offset),
                         std::move(each.pin));
    }
    waiting_ = std::move(later);
  }

  ExpertCache& cache_;
  LayerId layer_;
  Pass pass_;
  const std::atomic<bool>* const interrupt_;
  std::vector<Waiting> waiting_;  // resident or on their way
  std::deque<ExpertId> missing_;  // without a slot yet
};

ExpertCache::ExpertCache(kernels::Backend& backend, const ExpertStore& store,
                         std::span<const std::unique_ptr<File>> files, ExpertCacheOptions options)
    : backend_(backend),
      store_(store),
      policy_name_(name(options.policy)),
      trace_(std::move(options.trace)),
      digests_(options.digests),
      may_prefetch_(options.prefetch) {
  const std::size_t slots = static_cast<std::size_t>(
      std::min<std::uint64_t>(options.budget_bytes / store.slot_bytes(), store.size()));
  if (slots < std::min(min_slots, store.size())) {
    throw Error("the memory for experts, " + std::to_string(options.budget_bytes) +
                " bytes, holds " + std::to_string(slots) + " of " +
                std::to_string(store.slot_bytes()) + " bytes each; at least " +
                std::to_string(min_slots) + " are needed");
  }
  full_budget_ = slots * store.slot_bytes();
  arena_ = backend.allocate(std::max<std::size_t>(full_budget_, min_arena));
  slots_.resize(slots);
  usable_ = slots;
  if (slots == store.size()) may_prefetch_ = false;  // nothing is ever read too late
  empty_.reserve(slots);
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
                                             Pass pass, const std::atomic<bool>* interrupt) {
  auto pending = std::make_unique<Pending>(*this, layer, pass, experts.size(), interrupt);
  const std::scoped_lock lock(mutex_);
  if (next_use_) std::exchange(next_use_, {})();
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
    if (std::exchange(slot.prefetched, false)) {
      ++status_.prefetch_useful;
      if (!slot.scanned) prefetch_throttle_.right();
    }
    if (pass == Pass::prefill) continue;
    unmark_scanned(index);
    policy_->used(key);
  }
  pending_ = pending.get();
  ahead_.clear();
  // Where a prefill wants nearly all of a layer's experts, it will want the next layer's.
  const auto all = static_cast<std::size_t>(store_.experts_per_layer());
  if (pass == Pass::prefill && experts.size() >= all - all / 4 &&
      layer.value + 1 < store_.layers()) {
    list_ahead(LayerId{layer.value + 1});
  }
  pump_reads();
  return pending;
}

// For those who can tell nobody that there is no memory: whoever waits tries again.
void ExpertCache::pump_reads_if_possible() noexcept {
  try {
    pump_reads();
  } catch (const std::exception&) {
  }
}

// What the pass still lacks, then what the next layer will.
void ExpertCache::pump_reads() {
  if (pending_ == nullptr) return;
  pending_->begin_reads();
  if (!pending_->all_begun() || pending_->interrupted()) return;
  for (; !ahead_.empty(); ahead_.pop_front()) {
    const Key key = ahead_.front();
    if (slot_of_[static_cast<std::size_t>(key)] >= 0) continue;
    const std::optional<int> slot = slot_ahead(layer_of(key) - 1);
    if (!slot) return;
    load(*slot, key, Urgency::ahead);
    mark_scanned(*slot);
    slots_[static_cast<std::size_t>(*slot)].prefetched = true;
    ++status_.prefetched;
  }
}

// Reads as many of a layer's missing experts as may be read before they are asked for.
void ExpertCache::list_ahead(LayerId layer) {
  std::vector<Key> keys;
  for (std::int32_t expert = 0; expert < store_.experts_per_layer(); ++expert) {
    const Key key = store_.key(layer, ExpertId{expert});
    if (slot_of_[static_cast<std::size_t>(key)] < 0) keys.push_back(key);
  }
  std::ranges::stable_sort(keys, std::greater{},
                           [&](Key key) { return uses_[static_cast<std::size_t>(key)]; });
  keys.resize(std::min(keys.size(), window()));
  ahead_.assign(keys.begin(), keys.end());
}

bool ExpertCache::prefetch_pays() {
  if (!may_prefetch_) return false;
  const std::scoped_lock lock(mutex_);
  return prefetch_throttle_.pays();
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
    prefetch_throttle_.read();
  }
}

// --- Reads ---------------------------------------------------------------------------------------

void ExpertCache::load(int index, Key key, Urgency urgency) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  try {
    ReadJob job;
    job.reads = store_.reads(key, memory(index));
    job.urgency = urgency;
    if (urgency == Urgency::demand && pending_ != nullptr) job.interrupt = pending_->interrupt();
    std::uint64_t bytes = 0;
    for (const Read& read : job.reads) bytes += read.min_bytes;
    job.done = [this, index, key, bytes](const std::string& error) {
      loaded(index, key, bytes, error);
    };
    reader_->submit(std::move(job));
  } catch (...) {
    if (slot.pins == 0) empty_.push_back(index);
    throw;
  }
  // Its end waits for the mutex.
  slot.key = key;
  slot.state = SlotState::loading;
  ++loading_;
  slot_of_[static_cast<std::size_t>(key)] = index;
}

void ExpertCache::loaded(int index, Key key, std::uint64_t bytes, std::string error) noexcept {
  try {
    if (error.empty() && digests_ != nullptr) error = digests_->check(key, memory(index));
  } catch (const std::exception& failed) {
    error = text_of(failed);
  }
  {
    const std::scoped_lock lock(mutex_);
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    --loading_;
    if (slot.background) --warming_;
    slot.background = false;
    if (error.empty()) {
      slot.state = SlotState::ready;
      ++resident_;
      status_.bytes_read += bytes;
    } else if (error == read_withdrawn && slot.pins > 0) {
      load_again(index);  // another pass waits for it by now
    } else {
      give_up(index, std::move(error));
    }
    pump_reads_if_possible();
    try {
      issue_warm_reads();
    } catch (const std::exception&) {
      to_warm_.clear();
    }
  }
  changed_.notify_all();
}

void ExpertCache::load_again(int index) noexcept {
  try {
    load(index, slots_[static_cast<std::size_t>(index)].key, Urgency::demand);
  } catch (const std::exception& failed) {
    give_up(index, text_of(failed));
  }
}

// A slot whose read went wrong or was withdrawn.
void ExpertCache::give_up(int index, std::string error) noexcept {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  if (slot.prefetched) {
    --status_.prefetched;
    if (!slot.scanned) prefetch_throttle_.unread();
  }
  const int pins = slot.pins;
  evict(index);
  slot.pins = pins;
  if (error != read_withdrawn) to_warm_.clear();  // whoever needs the expert will hear why
  slot.error = std::move(error);
  slot.state = pins > 0 ? SlotState::failed : SlotState::empty;
  if (pins == 0) empty_.push_back(index);
}

// --- Warm start ----------------------------------------------------------------------------------

void ExpertCache::warm(std::vector<Key> keys) {
  const std::scoped_lock lock(mutex_);
  warm_list_ = std::move(keys);
  to_warm_.assign(warm_list_.begin(), warm_list_.end());
  status_.warm_total = to_warm_.size();
  issue_warm_reads();
}

void ExpertCache::issue_warm_reads() {
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

void ExpertCache::tell_next_use(std::function<void()> task) {
  const std::scoped_lock lock(mutex_);
  next_use_ = std::move(task);
}

std::vector<float> ExpertCache::recent_uses() const {
  const std::scoped_lock lock(mutex_);
  return uses_;
}

void ExpertCache::set_recent_uses(std::vector<float> uses) {
  const std::scoped_lock lock(mutex_);
  if (uses.size() != uses_.size()) return;
  policy_->remember(uses);
  uses_ = std::move(uses);
}

// --- Budget --------------------------------------------------------------------------------------

void ExpertCache::resize(std::uint64_t budget_bytes) {
  const std::scoped_lock lock(mutex_);
  const auto wanted = static_cast<std::size_t>(budget_bytes / store_.slot_bytes());
  const std::size_t target = std::clamp(wanted, std::min(min_slots, slots_.size()), slots_.size());
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

void ExpertCache::forget() {
  const std::scoped_lock lock(mutex_);
  to_warm_.clear();
  for (std::size_t i = slots_.size(); i-- > 0;) {
    if (slots_[i].state != SlotState::ready || slots_[i].pins > 0) continue;
    evict(static_cast<int>(i));
    empty_.push_back(static_cast<int>(i));
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
  if (digests_ != nullptr) {
    const ExpertDigests::Cost work = digests_->cost();
    status.checked_bytes = work.bytes;
    status.check_seconds = work.seconds;
  }
  status.reader = reader_name_;
  status.policy = policy_name_;
  return status;
}

}  // namespace hearth::engine
