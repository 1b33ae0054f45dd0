// CacheMaintenance's thread: how long it sleeps.
#include "engine/experts/maintenance.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace hearth::engine {

namespace {

constexpr int look_interval_ms = 1'000;  // while experts are used
constexpr int idle_probe_ms = 10'000;    // while they are not and nothing else tells

}  // namespace

CacheMaintenance::CacheMaintenance(ExpertCache& cache, MaintenanceOptions options)
    : cache_(cache),
      yield_memory_(options.yield_memory),
      warmer_(cache, std::move(options.history), options.fingerprint, options.note),
      monitor_(cache, options.budget_bytes, std::move(options.system), std::move(options.looked),
               options.note),
      sleep_(yield_memory_ ? options.signal() : PressureSignal{}) {
  thread_ = std::thread([this] { work(); });
}

CacheMaintenance::~CacheMaintenance() {
  stopping_ = true;
  sleep_.wake();
  thread_.join();
  cache_.tell_next_use({});
  warmer_.save();
}

void CacheMaintenance::work() {
  while (!stopping_) {
    sleep_.wait(timeout_or_retry(), yield_memory_);
    if (stopping_) return;
    ++looks_;
    try {
      if (yield_memory_) monitor_.look();
      const std::optional<CacheWarmer::Clock::time_point> due = warmer_.due();
      if (due && CacheWarmer::Clock::now() >= *due) warmer_.save();
    } catch (const std::exception&) {
      // No memory, most likely: the next look may find some.
    }
  }
}

// What the cache says of itself takes memory, too.
int CacheMaintenance::timeout_or_retry() {
  try {
    return timeout();
  } catch (const std::exception&) {
    return look_interval_ms;
  }
}

// Whether experts were used since it was asked last, or are still read for the warm start.
bool CacheMaintenance::is_busy() {
  const ExpertStatus status = cache_.status();
  const std::uint64_t used = status.hits + status.misses;
  if (std::exchange(used_, used) == used) return status.warming;
  warmer_.used();
  return true;
}

// How long to sleep, in milliseconds, unless something happens; -1: for ever.
int CacheMaintenance::timeout() {
  if (is_busy()) return look_interval_ms;
  cache_.tell_next_use([this] { sleep_.wake(); });
  if (is_busy()) return look_interval_ms;  // before it was told
  int max = yield_memory_ && !sleep_.has_signal() ? idle_probe_ms : -1;
  if (const auto due = warmer_.due()) {
    using std::chrono::milliseconds;
    const auto left = *due - CacheWarmer::Clock::now();
    const auto until = std::chrono::ceil<milliseconds>(std::max(left, left.zero())).count();
    max = max < 0 ? static_cast<int>(until) : std::min(max, static_cast<int>(until));
  }
  return max;
}

}  // namespace hearth::engine
