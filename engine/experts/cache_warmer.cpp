// Which experts a warm start reads, and when their uses are saved for the next one.
#include "engine/experts/cache_warmer.hpp"

#include <algorithm>
#include <exception>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "engine/experts/routing_history.hpp"
#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

namespace {

constexpr auto save_interval = std::chrono::seconds(60);

}  // namespace

CacheWarmer::CacheWarmer(ExpertCache& cache, std::filesystem::path history,
                         std::uint64_t fingerprint, std::function<void(const std::string&)> note)
    : cache_(cache),
      history_(std::move(history)),
      fingerprint_(fingerprint),
      note_(std::move(note)) {
  const ExpertStatus status = cache_.status();
  std::vector<float> uses;
  if (!history_.empty()) {
    const std::size_t old = remove_old_histories(history_.parent_path());
    if (old > 0 && note_) {
      note_("routing histories of an earlier version: " + std::to_string(old) + " files removed");
    }
    uses = read_history(history_, fingerprint_, status.experts);
    if (uses.empty() && std::filesystem::exists(history_) && note_) {
      note_(history_.string() + ": not a routing history of this checkpoint; begun anew");
    }
  }
  std::vector<ExpertStore::Key> keys(status.experts);
  std::iota(keys.begin(), keys.end(), 0);
  const std::size_t room = cache_.room();
  if (!uses.empty()) {
    const auto uses_of = [&](ExpertStore::Key key) { return uses[static_cast<std::size_t>(key)]; };
    std::ranges::stable_sort(keys, std::greater{}, uses_of);
    // What was never used waits for its first use, unless there is room for everything.
    if (room < status.experts) {
      std::erase_if(keys, [&](ExpertStore::Key key) { return uses_of(key) == 0; });
    }
    cache_.set_recent_uses(uses);
    saved_ = std::move(uses);
  } else if (status.slots < status.experts) {
    keys.clear();
  }
  keys.resize(std::min(keys.size(), room));
  cache_.warm(std::move(keys));
}

std::optional<CacheWarmer::Clock::time_point> CacheWarmer::due() const {
  if (!unsaved_) return std::nullopt;
  return saved_at_ + save_interval;
}

void CacheWarmer::save() {
  saved_at_ = Clock::now();
  unsaved_ = false;
  if (history_.empty()) return;
  try {
    std::vector<float> uses = cache_.recent_uses();
    const bool any = std::ranges::any_of(uses, [](float use) { return use > 0; });
    if (!any || uses == saved_) return;
    write_history(history_, fingerprint_, uses);
    saved_ = std::move(uses);
  } catch (const std::exception& failed) {
    tell(failed);
  }
}

void CacheWarmer::tell(const std::exception& failed) noexcept {
  try {
    if (note_) note_(text_of(failed));
  } catch (const std::exception&) {
    // No memory to say so.
  }
}

}  // namespace hearth::engine
