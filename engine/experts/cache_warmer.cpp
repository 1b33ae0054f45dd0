// CacheWarmer's thread: history of routing, and memory pressure.
#include "engine/experts/cache_warmer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/support/atomic_file.hpp"
#include "engine/support/digest.hpp"
#include "engine/support/out_of_memory.hpp"

namespace hearth::engine {

namespace {

constexpr int look_every = 1'000;      // ms, while experts are used
constexpr int idle_probe_ms = 10'000;  // ms, while they are not and nothing else tells
constexpr auto save_every = std::chrono::seconds(60);

// Free memory below which slots are given back, and above which they are taken again; of the
// machine's or the control group's.
constexpr std::uint64_t too_little = std::uint64_t{1} << 30;
constexpr std::uint64_t plenty = std::uint64_t{3} << 30;
constexpr std::uint64_t too_little_limited = std::uint64_t{128} << 20;
constexpr std::uint64_t plenty_limited = std::uint64_t{512} << 20;
constexpr double stalled = 0.1;                         // share of time that others wait for memory
constexpr std::uint64_t magic = 0x3274'756f'7268'6568;  // "hehrout2"
constexpr std::string_view old_magic = "hehrout1";

// A history file: these, then the uses, then the checksum of all before.
struct HistoryHeader {
  std::uint64_t magic = 0;
  std::uint64_t fingerprint = 0;
  std::uint64_t experts = 0;
};

std::span<const std::byte> bytes_of(const auto& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

std::vector<float> read_history(const std::filesystem::path& path, std::uint64_t fingerprint,
                                std::size_t experts) {
  std::vector<float> uses(experts);
  HistoryHeader header;
  std::uint64_t sum = 0;
  const std::size_t size = sizeof header + experts * sizeof(float) + sizeof sum;
  const std::optional<std::string> content = read_own_file(path, size);
  if (!content || content->size() != size) return {};
  const char* from = content->data();
  std::memcpy(&header, from, sizeof header);
  std::memcpy(uses.data(), from + sizeof header, experts * sizeof(float));
  std::memcpy(&sum, from + size - sizeof sum, sizeof sum);
  const bool mine = header.magic == magic && header.fingerprint == fingerprint &&
                    header.experts == experts &&
                    sum == digest(std::as_bytes(std::span(uses)), digest(bytes_of(header)));
  const auto sane = [](float use) { return std::isfinite(use) && use >= 0; };
  if (!mine || !std::ranges::all_of(uses, sane)) return {};
  return uses;
}

void write_history(const std::filesystem::path& path, std::uint64_t fingerprint,
                   std::span<const float> uses) {
  const HistoryHeader header{magic, fingerprint, uses.size()};
  const std::uint64_t sum = digest(std::as_bytes(uses), digest(bytes_of(header)));
  std::vector<std::byte> content;
  for (const std::span<const std::byte> part :
       {bytes_of(header), std::as_bytes(uses), bytes_of(sum)}) {
    content.insert(content.end(), part.begin(), part.end());
  }
  write_atomically(path, content);
}

std::size_t remove_old_histories(const std::filesystem::path& directory) {
  std::size_t removed = 0;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code skipped;
    if (!entry->path().filename().string().starts_with("routing-")) continue;
    if (!entry->is_regular_file(skipped) || entry->is_symlink(skipped)) continue;
    std::ifstream file(entry->path(), std::ios::binary);
    std::string begin(old_magic.size(), '\0');
    file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
    if (begin == old_magic && std::filesystem::remove(entry->path(), skipped)) ++removed;
  }
  return removed;
}

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

CacheWarmer::CacheWarmer(ExpertCache& cache, CacheWarmerOptions options)
    : cache_(cache),
      options_(std::move(options)),
      budget_(options_.budget_bytes),
      saved_at_(std::chrono::steady_clock::now()),
      sleep_(options_.yield_memory ? options_.signal() : PressureSignal{}) {
  const ExpertStatus status = cache_.status();
  std::vector<float> uses;
  if (!options_.history.empty()) {
    const std::size_t old = remove_old_histories(options_.history.parent_path());
    if (old > 0 && options_.note) {
      options_.note("routing histories of an earlier version: " + std::to_string(old) +
                    " files removed");
    }
    uses = read_history(options_.history, options_.fingerprint, status.experts);
    if (uses.empty() && std::filesystem::exists(options_.history) && options_.note) {
      options_.note(options_.history.string() +
                    ": not a routing history of this checkpoint; begun anew");
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
  thread_ = std::thread([this] { work(); });
}

CacheWarmer::~CacheWarmer() {
  stopping_ = true;
  sleep_.wake();
  thread_.join();
  cache_.tell_next_use({});
  save();
}

void CacheWarmer::work() {
  while (!stopping_) {
    sleep_.wait(timeout(), options_.yield_memory);
    if (stopping_) return;
    ++looks_;
    try {
      if (options_.yield_memory) fit_memory();
    } catch (const std::exception&) {
      // No memory, most likely: the next look may find some.
    }
    if (unsaved_ && std::chrono::steady_clock::now() - saved_at_ >= save_every) save();
  }
}

// Whether experts were used since it was asked last, or are still read for the warm start.
bool CacheWarmer::is_busy() {
  const ExpertStatus status = cache_.status();
  const std::uint64_t used = status.hits + status.misses;
  if (std::exchange(used_, used) == used) return status.warming;
  unsaved_ = !options_.history.empty();
  return true;
}

// How long to sleep, in milliseconds, unless something happens; -1: for ever.
int CacheWarmer::timeout() {
  if (is_busy()) return look_every;
  cache_.tell_next_use([this] { sleep_.wake(); });
  if (is_busy()) return look_every;  // before it was told
  int max = options_.yield_memory && !sleep_.has_signal() ? idle_probe_ms : -1;
  if (unsaved_) {
    using std::chrono::milliseconds;
    const auto left = saved_at_ + save_every - std::chrono::steady_clock::now();
    const auto until = std::chrono::ceil<milliseconds>(std::max(left, left.zero())).count();
    max = max < 0 ? static_cast<int>(until) : std::min(max, static_cast<int>(until));
  }
  return max;
}

void CacheWarmer::save() {
  saved_at_ = std::chrono::steady_clock::now();
  unsaved_ = false;
  if (options_.history.empty()) return;
  try {
    std::vector<float> uses = cache_.recent_uses();
    const bool any = std::ranges::any_of(uses, [](float use) { return use > 0; });
    if (!any || uses == saved_) return;
    write_history(options_.history, options_.fingerprint, uses);
    saved_ = std::move(uses);
  } catch (const std::exception& failed) {
    if (options_.note) options_.note(text_of(failed));
  }
}

void CacheWarmer::fit_memory() {
  const std::uint64_t wanted =
      budget_under(read_memory(options_.system), budget_, options_.budget_bytes);
  if (wanted == budget_) return;
  if (options_.note && (wanted < budget_) != shrunk_) {
    options_.note(wanted < budget_ ? "memory is short: the expert cache gives some back"
                                   : "there is memory again: the expert cache grows");
    shrunk_ = wanted < budget_;
  }
  budget_ = wanted;
  cache_.resize(budget_);
}

}  // namespace hearth::engine
