// ExpertCache: requests, what is read for them, warm start and budget.
#include "engine/experts/cache.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <new>
#include <utility>

namespace hearth::engine {

namespace {

// Recent uses are halved after so many, some thousand tokens of the 80B.
constexpr std::uint64_t uses_to_halve = 2'000'000;
// A prefill says less about what decoding will want.
constexpr float prefill_use = 0.1F;
constexpr auto wait_slice = std::chrono::milliseconds(2);  // between two looks at the interrupt

// How many slots a budget has room for.
std::size_t slots_of(std::uint64_t budget_bytes, const ExpertStore& store) {
  if (store.size() == 0) return 0;  // a dense model
  const auto slots = static_cast<std::size_t>(
      std::min<std::uint64_t>(budget_bytes / store.slot_bytes(), store.size()));
  constexpr std::size_t min = ExpertCache::min_slots;
  if (slots >= std::min(min, store.size())) return slots;
  throw Error("the memory for experts, " + std::to_string(budget_bytes) + " bytes, holds " +
              std::to_string(slots) + " of " + std::to_string(store.slot_bytes()) +
              " bytes each; at least " + std::to_string(min) + " are needed");
}

// What other devices copy from is page-locked.
kernels::Buffer host_arena(const ExpertStore& store, std::span<const DeviceSlots> devices) {
  const DeviceSlots& host = devices.front();
  const std::size_t bytes = SlotPool::arena_bytes(slots_of(host.budget_bytes, store), store);
  if (devices.size() == 1) return host.backend->allocate(bytes);
  return devices[1].backend->allocate(bytes, kernels::MemoryKind::page_locked);
}

}  // namespace

ExpertCache::ExpertCache(const ExpertStore& store, std::span<const std::unique_ptr<File>> files,
                         ExpertCacheOptions options)
    : store_(store),
      policy_name_(name(options.policy)),
      digests_(options.digests),
      note_(std::move(options.note)),
      may_prefetch_(options.prefetch),
      trace_(std::move(options.trace)),
      policy_(make_policy(options.policy, store.size(), options.half_life)),
      pool_(*options.devices.front().backend, host_arena(store, options.devices),
            slots_of(options.devices.front().budget_bytes, store), store, *policy_),
      uses_(store.size()),
      loader_(
          store, files, options.reader, options.digests,
          [this](ExpertLoader::Outcome outcome) { loaded(std::move(outcome)); },
          [this](int slot, bool same) { checked(slot, same); }) {
  if (pool_.size() == store.size()) may_prefetch_ = false;  // nothing is ever read too late
  const Lock lock(mutex_);
  for (const DeviceSlots& device : std::span(options.devices).subspan(1)) add_device(device);
  has_devices_ = !devices_.empty();
}

// --- Requests ------------------------------------------------------------------------------------

void ExpertCache::begin(LayerId layer, std::span<const ExpertId> experts, Pass pass,
                        const std::atomic<bool>* interrupt) {
  const Lock lock(mutex_);
  if (next_use_) std::exchange(next_use_, {})();
  if (trace_) trace_->add(layer, experts, pass);
  end_moves(false);
  promote_warmed();
  request_.waiting.reserve(experts.size());
  request_.lent.reserve(experts.size());  // what is pinned must never be forgotten
  request_.layer = layer;
  request_.pass = pass;
  request_.interrupt = interrupt;
  request_.open = true;
  for (const ExpertId expert : experts) {
    const Key key = store_.key(layer, expert);
    count_use(key, pass == Pass::decode ? 1 : prefill_use);
    const SlotRef place = find(key);
    if (place.slot < 0) {
      ++status_.misses;
      request_.missing.push_back(expert);
      continue;
    }
    wait_for(expert, place, false);
    Slot& slot = slot_at(place);
    const bool ready = slot.state == SlotState::ready;
    ++(ready ? status_.hits : status_.misses);
    if (ready && place.device > 0) ++devices_[place.device - 1]->hits;
    if (std::exchange(slot.prefetched, false)) {
      ++status_.prefetch_useful;
      if (!slot.scanned) prefetch_throttle_.right();
    }
    if (pass == Pass::prefill) continue;
    pool(place.device).unmark_scanned(place.slot);
    policy_->used(key);
  }
  loader_.look_ahead({});
  // Where a prefill wants nearly all of a layer's experts, it will want the next layer's.
  const auto all = static_cast<std::size_t>(store_.experts_per_layer());
  if (pass == Pass::prefill && experts.size() >= all - all / 4 &&
      layer.value + 1 < store_.layers()) {
    list_ahead(LayerId{layer.value + 1});
  }
  pump_reads();
}

void ExpertCache::end() {
  bool unread = false;
  {
    const Lock lock(mutex_);
    unread = !request_.waiting.empty() || !request_.missing.empty();
    for (const Request::Waiting& each : request_.waiting) unpin(each.place);
    for (const SlotRef place : request_.lent) unpin(place);
    request_.waiting.clear();
    request_.missing.clear();
    request_.lent.clear();
    request_.open = false;
  }
  if (unread) loader_.withdraw();
}

// Starts reads as far as there are slots for them: at once, and whenever a read has ended or a slot
// is free again, also while the computing thread computes.
void ExpertCache::begin_demanded() {
  const bool prefill = request_.pass == Pass::prefill;
  while (!request_.missing.empty() && !request_.interrupted() &&
         (!prefill || streamed_ < pool_.window())) {
    const ExpertId expert = request_.missing.front();
    const Key key = store_.key(request_.layer, expert);
    SlotRef place = find(key);
    if (place.slot < 0) {  // else somebody has begun to read it meanwhile
      const std::optional<int> taken = pool_.take(request_.pass, request_.layer.value);
      if (!taken) return;
      place = {0, *taken};
      load(place.slot, key, Urgency::demand);
      if (prefill) {
        pool_.mark_scanned(place.slot);
      } else {
        policy_->used(key);
      }
    }
    wait_for(expert, place, prefill);
    request_.missing.pop_front();
  }
}

void ExpertCache::wait_for(ExpertId expert, SlotRef place, bool streamed) {
  request_.waiting.push_back({expert, place});
  Slot& slot = slot_at(place);
  ++slot.pins;
  if (!streamed || std::exchange(slot.streamed, true)) return;
  ++streamed_;
}

std::vector<Lease> ExpertCache::next() {
  using Clock = std::chrono::steady_clock;
  std::vector<Lease> ready;
  Lock lock(mutex_);
  for (;;) {
    if (request_.interrupted()) return {};
    begin_demanded();
    take_ready(ready);
    if (!ready.empty()) break;
    if (!loader_.busy() && !moves_.empty()) {  // what is wanted, or a slot, is on its way
      end_moves(true);
      continue;
    }
    if (request_.waiting.empty() && (request_.missing.empty() || !loader_.busy())) break;
    const auto began = Clock::now();
    changed_.wait_until(lock, began + wait_slice);
    status_.wait_seconds += std::chrono::duration<double>(Clock::now() - began).count();
  }
  if (ready.empty() && !request_.missing.empty())
    throw Error("no slot of the expert cache is free: its budget is too small");
  return ready;
}

void ExpertCache::take_ready(std::vector<Lease>& ready) {
  for (const Request::Waiting& each : request_.waiting) {
    const Slot& slot = slot_at(each.place);
    if (slot.state != SlotState::failed) continue;
    if (slot.failure.end == ReadResult::End::no_memory) throw std::bad_alloc();
    throw Error(slot.failure.error);
  }
  ready.reserve(request_.waiting.size());
  request_.lent.reserve(request_.lent.size() + request_.waiting.size());
  // From here on nothing may throw.
  std::size_t kept = 0;
  for (std::size_t i = 0; i < request_.waiting.size(); ++i) {
    const Request::Waiting each = request_.waiting[i];
    if (slot_at(each.place).state != SlotState::ready) {
      request_.waiting[kept++] = each;
      continue;
    }
    const auto [device, slot] = each.place;
    const std::size_t number = device == 0 ? 0 : devices_[device - 1]->number;
    ready.push_back({each.expert, pool(device).weights(slot), number, slot});
    request_.lent.push_back(each.place);
  }
  request_.waiting.resize(kept);
}

void ExpertCache::release(std::span<const Lease> leases) {
  const Lock lock(mutex_);
  for (const Lease& lease : leases) {
    const SlotRef place{device_numbered(lease.device), lease.slot};
    const auto mine = std::ranges::find(request_.lent, place);
    if (mine == request_.lent.end()) continue;
    *mine = request_.lent.back();
    request_.lent.pop_back();
    unpin(place);
  }
  pump_reads_if_possible();
}

void ExpertCache::unpin(SlotRef place) {
  Slot& slot = slot_at(place);
  if (--slot.pins > 0) return;
  if (std::exchange(slot.streamed, false)) --streamed_;
  if (slot.state == SlotState::failed) pool(place.device).put_back(place.slot);
}

// --- Reads ---------------------------------------------------------------------------------------

// For those who can tell nobody that there is no memory: whoever waits tries again.
void ExpertCache::pump_reads_if_possible() noexcept {
  try {
    pump_reads();
  } catch (const std::exception&) {
  }
}

// What the pass still lacks, then what the next layer will.
void ExpertCache::pump_reads() {
  if (!request_.open) return;
  begin_demanded();
  if (!request_.missing.empty() || request_.interrupted()) return;
  for (std::deque<Key>& ahead = loader_.ahead(); !ahead.empty(); ahead.pop_front()) {
    const Key key = ahead.front();
    if (find(key).slot >= 0) continue;
    const std::optional<int> slot = pool_.take_ahead(layer_of(key) - 1);
    if (!slot) return;
    load(*slot, key, Urgency::ahead);
    pool_.mark_scanned(*slot);
    pool_.at(*slot).prefetched = true;
    ++status_.prefetched;
  }
}

// Reads as many of a layer's missing experts as may be read before they are asked for.
void ExpertCache::list_ahead(LayerId layer) {
  struct Missing {
    Key key;
    float uses;
  };
  std::vector<Missing> missing;
  for (std::int32_t expert = 0; expert < store_.experts_per_layer(); ++expert) {
    const Key key = store_.key(layer, ExpertId{expert});
    if (find(key).slot < 0) missing.push_back({key, uses_[static_cast<std::size_t>(key)]});
  }
  std::ranges::stable_sort(missing, std::greater{}, &Missing::uses);
  std::vector<Key> keys;
  for (const Missing& each : std::span(missing).first(std::min(missing.size(), pool_.window())))
    keys.push_back(each.key);
  loader_.look_ahead(keys);
}

bool ExpertCache::prefetch_pays() {
  if (!may_prefetch_) return false;
  const Lock lock(mutex_);
  return prefetch_throttle_.pays();
}

void ExpertCache::prefetch(LayerId layer, std::span<const ExpertId> experts) {
  const Lock lock(mutex_);
  for (const ExpertId expert : experts) {
    const Key key = store_.key(layer, expert);
    if (find(key).slot >= 0) continue;
    const std::optional<int> slot = pool_.take(Pass::decode, layer.value);
    if (!slot) return;
    load(*slot, key, Urgency::ahead);
    policy_->used(key);
    pool_.at(*slot).prefetched = true;
    ++status_.prefetched;
    prefetch_throttle_.read();
  }
}

// Into a slot that belongs to the caller.
void ExpertCache::load(int slot, Key key, Urgency urgency) {
  try {
    loader_.load(key, slot, pool_.memory(slot), urgency,
                 request_.open ? request_.interrupt : nullptr);
  } catch (...) {
    if (pool_.at(slot).pins == 0) pool_.put_back(slot);
    throw;
  }
  pool_.fill(slot, key);
}

void ExpertCache::loaded(ExpertLoader::Outcome outcome) noexcept {
  {
    const Lock lock(mutex_);
    loader_.ended(outcome);
    const ReadResult::End end = outcome.result.end;
    if (end == ReadResult::End::complete) {
      pool_.set_ready(outcome.slot);
      status_.bytes_read += outcome.bytes;
      begin_check(outcome.slot);
    } else if (end == ReadResult::End::withdrawn && pool_.at(outcome.slot).pins > 0) {
      load_again(outcome.slot);  // another pass waits for it by now
    } else {
      give_up(outcome.slot, std::move(outcome.result));
    }
    pump_reads_if_possible();
    issue_warm_reads_if_possible();
  }
  changed_.notify_all();
}

// Whether what was read is what it was is found out beside its use.
void ExpertCache::begin_check(int slot) noexcept {
  const Key key = pool_.at(slot).key;
  try {
    if (loader_.begin_check(key, slot, pool_.memory(slot))) ++pool_.at(slot).pins;
  } catch (const std::exception&) {  // no memory: then at once
    if (!loader_.check(key, pool_.memory(slot))) give_up_different(slot);
  }
}

void ExpertCache::checked(int slot, bool same) noexcept {
  {
    const Lock lock(mutex_);
    loader_.check_ended();
    if (!same) give_up_different(slot);
    unpin({0, slot});
    pump_reads_if_possible();
  }
  changed_.notify_all();
}

void ExpertCache::give_up_different(int slot) noexcept {
  ReadResult result{ReadResult::End::no_memory, {}};
  try {
    result = {ReadResult::End::failed, loader_.last_difference()};
  } catch (const std::exception&) {
  }
  give_up(slot, std::move(result));
}

void ExpertCache::load_again(int slot) noexcept {
  try {
    load(slot, pool_.at(slot).key, Urgency::demand);
  } catch (const std::exception& failed) {
    give_up(slot, ReadResult::of(failed));
  }
}

// A slot whose read went wrong or was withdrawn.
void ExpertCache::give_up(int index, ReadResult result) noexcept {
  const Slot& slot = pool_.at(index);
  if (slot.prefetched) {
    --status_.prefetched;
    if (!slot.scanned) prefetch_throttle_.unread();
  }
  // Whoever needs the expert will hear why.
  if (result.end != ReadResult::End::withdrawn) loader_.end_warm();
  drop({0, index}, std::move(result));
}

// A slot whose content is not to be used. Whoever waits for it hears the error.
void ExpertCache::drop(SlotRef place, ReadResult result) noexcept {
  SlotPool& slots = pool(place.device);
  Slot& slot = slots.at(place.slot);
  const int pins = slot.pins;
  const bool streamed = slot.streamed;
  slots.evict(place.slot);
  if (pins == 0) {
    slots.put_back(place.slot);
    return;
  }
  slot.pins = pins;
  slot.streamed = streamed;
  slot.failure = std::move(result);
  slot.state = SlotState::failed;
}

// --- Warm start ----------------------------------------------------------------------------------

void ExpertCache::warm(std::vector<Key> keys) {
  const Lock lock(mutex_);
  status_.warm_total = keys.size();
  list_warm_promotions(keys);
  loader_.warm(std::move(keys));
  issue_warm_reads();
}

std::size_t ExpertCache::room() const {
  const Lock lock(mutex_);
  return pool_.usable() + room_on_devices();
}

// For those who can tell nobody that there is no memory: what is not read by then is when it is
// wanted.
void ExpertCache::issue_warm_reads_if_possible() noexcept {
  try {
    issue_warm_reads();
  } catch (const std::exception&) {
    loader_.end_warm();
  }
}

void ExpertCache::issue_warm_reads() {
  while (pool_.empty() > 0) {
    const std::optional<Key> key = loader_.next_warm();
    if (!key) break;
    if (find(*key).slot >= 0) continue;
    load(*pool_.take_empty(), *key, Urgency::background);
    policy_->used(*key);
  }
  // A slot whose expert goes on to a device will be empty again.
  if (pool_.empty() == 0 && to_promote_.empty() && moves_.empty()) loader_.end_warm();
  // They were read most useful first, so a policy that goes by time would give up the best first.
  const std::vector<Key> warmed = loader_.take_warmed();
  for (std::size_t i = warmed.size(); i-- > 0;) {
    const SlotRef place = find(warmed[i]);
    if (place.slot >= 0 && !slot_at(place).scanned) policy_->used(warmed[i]);
  }
}

void ExpertCache::count_use(Key key, float uses) {
  uses_[static_cast<std::size_t>(key)] += uses;
  if (++use_events_ % uses_to_halve != 0) return;
  for (float& some : uses_) some /= 2;
}

void ExpertCache::tell_next_use(std::function<void()> task) {
  const Lock lock(mutex_);
  next_use_ = std::move(task);
}

std::vector<float> ExpertCache::recent_uses() const {
  const Lock lock(mutex_);
  return uses_;
}

void ExpertCache::set_recent_uses(std::vector<float> uses) {
  const Lock lock(mutex_);
  if (uses.size() != uses_.size()) return;
  policy_->remember(uses);
  uses_ = std::move(uses);
}

// --- Budget --------------------------------------------------------------------------------------

void ExpertCache::resize(std::uint64_t budget_bytes) {
  const Lock lock(mutex_);
  budget_ = budget_bytes;
  resize_host();
}

void ExpertCache::limit(std::uint64_t budget_bytes) {
  const Lock lock(mutex_);
  limit_ = budget_bytes;
  resize_host();
}

void ExpertCache::resize_host() {
  if (store_.size() == 0) return;  // a dense model's
  const auto wanted = static_cast<std::size_t>(std::min(budget_, limit_) / store_.slot_bytes());
  pool_.resize(std::clamp(wanted, std::min(min_slots, pool_.size()), pool_.size()));
}

void ExpertCache::forget() {
  Lock lock(mutex_);
  loader_.end_warm();
  to_promote_.clear();
  while (loader_.checking()) changed_.wait(lock);
  pool_.forget();
  for (const auto& device : devices_) device->slots.forget();
}

ExpertStatus ExpertCache::status() const {
  const Lock lock(mutex_);
  ExpertStatus status = status_;
  status.expert_bytes = store_.expert_bytes();
  status.experts = store_.size();
  status.slots = pool_.usable();
  status.resident = pool_.resident();
  status.budget_bytes = pool_.bytes();
  for (const auto& each : devices_) {
    const SlotPool& slots = each->slots;
    status.devices.push_back({each->backend.device(), each->backend.description(), slots.usable(),
                              slots.resident(), slots.bytes(), each->hits, each->promoted,
                              each->demoted});
  }
  // Where the host is full, what is left waits until decoding has moved some to a device.
  // What is being checked cannot move to a device yet.
  status.warming =
      loader_.warming() && (loader_.reading_warm() || loader_.checking() || pool_.empty() > 0);
  status.warm_done = status.warm_total - loader_.warm_left();
  if (digests_ != nullptr) {
    const ExpertDigests::Cost work = digests_->cost();
    status.checked_bytes = work.bytes;
    status.check_seconds = work.seconds;
    status.check_wait_seconds = work.waited;
  }
  status.reader = loader_.description();
  status.policy = policy_name_;
  return status;
}

}  // namespace hearth::engine
