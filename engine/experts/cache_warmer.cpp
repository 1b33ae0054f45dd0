// See expert_keeper.hpp.
#include "engine/expert_keeper.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <numeric>
#include <system_error>
#include <utility>

#include "engine/fingerprint.hpp"

namespace hearth::engine {

namespace {

constexpr auto look_every = std::chrono::seconds(1);
constexpr int save_every = 60;  // looks

// Free memory below which slots are given back, and above which they are taken again; of the
// machine's or the control group's.
constexpr std::uint64_t too_little = std::uint64_t{1} << 30;
constexpr std::uint64_t plenty = std::uint64_t{3} << 30;
constexpr std::uint64_t too_little_limited = std::uint64_t{128} << 20;
constexpr std::uint64_t plenty_limited = std::uint64_t{512} << 20;
constexpr double stalled = 0.1;                         // share of time that others wait for memory
constexpr std::uint64_t magic = 0x3174'756f'7268'6568;  // "hehrout1"

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
  std::error_code missing;
  if (std::filesystem::file_size(path, missing) != size || missing) return {};
  const std::unique_ptr<File> file = open_file(path);
  file->read(0, std::as_writable_bytes(std::span(&header, 1)));
  file->read(sizeof header, std::as_writable_bytes(std::span(uses)));
  file->read(size - sizeof sum, std::as_writable_bytes(std::span(&sum, 1)));
  const bool mine = header.magic == magic && header.fingerprint == fingerprint &&
                    header.experts == experts &&
                    sum == fnv1a(std::as_bytes(std::span(uses)), fnv1a(bytes_of(header)));
  const auto sane = [](float use) { return std::isfinite(use) && use >= 0; };
  if (!mine || !std::ranges::all_of(uses, sane)) return {};
  return uses;
}

void write_history(const std::filesystem::path& path, std::uint64_t fingerprint,
                   std::span<const float> uses) {
  const HistoryHeader header{magic, fingerprint, uses.size()};
  const std::uint64_t sum = fnv1a(std::as_bytes(uses), fnv1a(bytes_of(header)));
  std::vector<std::byte> content;
  for (const std::span<const std::byte> part :
       {bytes_of(header), std::as_bytes(uses), bytes_of(sum)}) {
    content.insert(content.end(), part.begin(), part.end());
  }
  std::filesystem::path beside = path;
  beside += ".new";
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) {
    throw Error(beside.string() + ": cannot write: " + std::generic_category().message(errno));
  }
  std::span<const std::byte> left = content;
  int error = 0;
  while (!left.empty() && error == 0) {
    const ssize_t written = ::write(file, left.data(), left.size());
    if (written > 0) left = left.subspan(static_cast<std::size_t>(written));
    if (written < 0 && errno != EINTR) error = errno;
  }
  if (error == 0 && ::fsync(file) != 0) error = errno;
  ::close(file);
  if (error == 0 && ::rename(beside.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return;
  ::unlink(beside.c_str());
  throw Error(path.string() + ": cannot write: " + std::generic_category().message(error));
}

std::uint64_t budget_under(const MemoryView& view, std::uint64_t now, std::uint64_t full) {
  if (view.available == 0) return now;
  const std::uint64_t least = view.limited ? too_little_limited : too_little;
  const std::uint64_t enough = view.limited ? plenty_limited : plenty;
  if (view.available < least || (view.pressure > stalled && view.available < enough)) {
    // At least what is missing, and a twentieth, so that few looks are enough.
    const std::uint64_t missing = least - std::min(least, view.available);
    return now - std::min(now, std::max(missing, full / 20));
  }
  if (view.available > enough) return std::min(full, now + (view.available - enough) / 4);
  return now;
}

ExpertKeeper::ExpertKeeper(ExpertCache& cache, KeeperOptions options)
    : cache_(cache), options_(std::move(options)), budget_(options_.budget_bytes) {
  const ExpertStatus status = cache_.status();
  std::vector<float> uses;
  if (!options_.history.empty()) {
    uses = read_history(options_.history, options_.fingerprint, status.experts);
    if (uses.empty() && std::filesystem::exists(options_.history) && options_.note) {
      options_.note(options_.history.string() +
                    ": not a routing history of this checkpoint; begun anew");
    }
  }
  std::vector<ExpertStore::Key> keys(status.experts);
  std::iota(keys.begin(), keys.end(), 0);
  if (!uses.empty()) {
    const auto uses_of = [&](ExpertStore::Key key) { return uses[static_cast<std::size_t>(key)]; };
    std::ranges::stable_sort(keys, std::greater{}, uses_of);
    // What was never used waits for its first use, unless there is room for everything.
    if (status.slots < status.experts) {
      std::erase_if(keys, [&](ExpertStore::Key key) { return uses_of(key) == 0; });
    }
    cache_.set_recent_uses(uses);
    saved_ = std::move(uses);
  } else if (status.slots < status.experts) {
    keys.clear();
  }
  if (keys.size() > status.slots) keys.resize(status.slots);
  cache_.warm(std::move(keys));
  thread_ = std::thread([this] { work(); });
}

ExpertKeeper::~ExpertKeeper() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
  save();
}

void ExpertKeeper::work() {
  std::unique_lock lock(mutex_);
  for (int look = 1; !stop_.wait_for(lock, look_every, [&] { return stopping_; }); ++look) {
    lock.unlock();
    if (options_.yield_memory) fit_memory();
    if (look % save_every == 0) save();
    lock.lock();
  }
}

void ExpertKeeper::save() {
  if (options_.history.empty()) return;
  std::vector<float> uses = cache_.recent_uses();
  const bool any = std::ranges::any_of(uses, [](float use) { return use > 0; });
  if (!any || uses == saved_) return;
  try {
    write_history(options_.history, options_.fingerprint, uses);
    saved_ = std::move(uses);
  } catch (const Error& failed) {
    if (options_.note) options_.note(failed.what());
  }
}

void ExpertKeeper::fit_memory() {
  const std::uint64_t wanted = budget_under(read_memory(), budget_, options_.budget_bytes);
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
