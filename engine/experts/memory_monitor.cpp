// When experts' memory is given back, and when it is taken again.
#include "engine/experts/memory_monitor.hpp"

#include <algorithm>
#include <utility>

namespace hearth::engine {

namespace {

// Free memory below which slots are given back, and above which they are taken again; of the
// machine's or the control group's.
constexpr std::uint64_t too_little = std::uint64_t{1} << 30;
constexpr std::uint64_t plenty = std::uint64_t{3} << 30;
constexpr std::uint64_t too_little_limited = std::uint64_t{128} << 20;
constexpr std::uint64_t plenty_limited = std::uint64_t{512} << 20;
constexpr double stalled = 0.1;  // share of time that others wait for memory
}  // namespace

std::uint64_t budget_under(const MemoryView& view, std::uint64_t now, std::uint64_t full) {
  if (view.available == 0) return now;
  const std::uint64_t min = view.limited ? too_little_limited : too_little;
  const std::uint64_t enough = view.limited ? plenty_limited : plenty;
  if (view.available < min || (view.pressure > stalled && view.available < enough)) {
    // At least what is missing, and a twentieth, so that few looks are enough.
    const std::uint64_t missing = min - std::min(min, view.available);
    return now - std::min(now, std::max(missing, full / 20));
  }
  if (view.available > enough) return std::min(full, now + (view.available - enough) / 4);
  return now;
}

MemoryMonitor::MemoryMonitor(ExpertCache& cache, std::uint64_t full, std::filesystem::path system,
                             std::function<void(const MemoryLook&)> looked,
                             std::function<void(const std::string&)> note)
    : cache_(cache),
      full_(full),
      system_(std::move(system)),
      looked_(std::move(looked)),
      note_(std::move(note)),
      budget_(full) {}

void MemoryMonitor::look() {
  const MemoryView view = read_memory(system_);
  const std::uint64_t wanted = budget_under(view, budget_, full_);
  if (looked_) {
    constexpr std::uint64_t much = std::uint64_t{1} << 40;  // some of which would be given back
    looked_({view, budget_under(view, much, much) < much, wanted, full_});
  }
  if (wanted == budget_) return;
  if (note_ && (wanted < budget_) != shrunk_) {
    note_(wanted < budget_ ? "memory is short: the expert cache gives some back"
                           : "there is memory again: the expert cache grows");
    shrunk_ = wanted < budget_;
  }
  budget_ = wanted;
  cache_.resize(budget_);
}

}  // namespace hearth::engine
