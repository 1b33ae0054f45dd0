// ExpertDigests: takes, compares and encodes the experts' digests, and its thread.
#include "engine/experts/digests.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

#include "engine/support/digest.hpp"

namespace hearth::engine {

namespace {

constexpr std::uint64_t magic = 0x3147'4458'4548'5248;  // "HRHEXDG1"

// A saved table: these, the digests, then the digest of all before.
struct Header {
  std::uint64_t magic = 0;
  std::uint64_t fingerprint = 0;
  std::uint64_t experts = 0;
  std::uint64_t stamps = 0;
};

std::uint64_t nanoseconds_since(std::chrono::steady_clock::time_point began) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began)
          .count());
}

void append(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
  const std::size_t at = bytes.size();
  bytes.resize(at + more.size());
  std::ranges::copy(more, bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

ExpertDigests::ExpertDigests(const ExpertStore& store, std::uint64_t fingerprint,
                             std::uint64_t stamps, std::function<void(const std::string&)> note)
    : store_(store),
      fingerprint_(fingerprint),
      stamps_(stamps),
      note_(std::move(note)),
      digests_(store.size()),
      known_under_(stamps) {
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    throw Error("the system did not start a thread to check experts with");
  }
}

ExpertDigests::~ExpertDigests() {
  {
    const Lock lock(queue_mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

// --- The thread ----------------------------------------------------------------------------------

void ExpertDigests::check_later(ExpertStore::Key key, std::span<const std::byte> slot,
                                std::function<void(bool same)> done) {
  {
    const Lock lock(queue_mutex_);
    queue_.push_back({key, slot, std::move(done)});
    ++begun_;
  }
  changed_.notify_all();
}

void ExpertDigests::work() {
  Lock lock(queue_mutex_);
  for (;;) {
    while (queue_.empty() && !stopping_) changed_.wait(lock);
    if (queue_.empty()) return;
    const Check check = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    check.done(this->check(check.key, check.slot));
    lock.lock();
    ++ended_;
    changed_.notify_all();
  }
}

void ExpertDigests::wait() {
  Lock lock(queue_mutex_);
  const std::uint64_t until = begun_;
  if (ended_ >= until) return;
  const auto began = std::chrono::steady_clock::now();
  while (ended_ < until) changed_.wait(lock);
  waited_nanoseconds_ += nanoseconds_since(began);
}

std::uint64_t ExpertDigests::differences() {
  wait();
  return differences_;
}

// --- Digests -------------------------------------------------------------------------------------

bool ExpertDigests::check(ExpertStore::Key key, std::span<const std::byte> slot) noexcept {
  const auto began = std::chrono::steady_clock::now();
  const std::array<std::span<const std::byte>, 3> parts = store_.parts(key, slot);
  Digests now{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    now[i] = std::max<std::uint64_t>(digest(parts[i]), 1);
    bytes_ += parts[i].size();
  }
  nanoseconds_ += nanoseconds_since(began);
  {
    const Lock lock(mutex_);
    Digests& before = digests_[static_cast<std::size_t>(key)];
    if (before == now) return true;
    if (before == Digests{}) {
      before = now;
      ++changes_;
      return true;
    }
    const auto part =
        static_cast<std::size_t>(std::ranges::mismatch(before, now).in1 - before.begin());
    const bool files_changed = known_under_ != stamps_;
    last_difference_.clear();
    try {
      last_difference_ = describe(key, part, files_changed);
    } catch (const std::exception&) {
      // There is no memory to say it, but it counts.
    }
    ++differences_;
    if (files_changed) {  // what is read now counts
      std::ranges::fill(digests_, Digests{});
      before = now;
      known_under_ = stamps_;
      ++changes_;
    }
  }
  try {
    if (note_) note_(last_difference());
  } catch (const std::exception&) {
    // Whoever asks for the expert hears it.
  }
  return false;
}

std::string ExpertDigests::describe(ExpertStore::Key key, std::size_t part,
                                    bool files_changed) const {
  return store_.description(key, part) +
         " is not what it was when earlier answers were computed; what was kept of them is "
         "dropped. " +
         (files_changed ? "If the file was repaired, ask again; else download it again."
                        : "Nobody changed the file, so the disk or the memory is at fault: check "
                          "them, and download the file again.");
}

std::string ExpertDigests::last_difference() const {
  const Lock lock(mutex_);
  if (!last_difference_.empty()) return last_difference_;
  return "the weights are not what they were when earlier answers were computed";
}

void ExpertDigests::dropped(std::uint64_t differences) {
  const Lock lock(mutex_);
  dropped_ = std::max(dropped_, differences);
}

std::optional<std::vector<std::byte>> ExpertDigests::unsaved() {
  const Lock lock(mutex_);
  if (saved_ == changes_ || dropped_ != differences_) return std::nullopt;
  saving_ = changes_;
  return encode();
}

void ExpertDigests::saved() {
  const Lock lock(mutex_);
  saved_ = saving_;
}

std::vector<std::byte> ExpertDigests::encode() const {
  const Header header{magic, fingerprint_, digests_.size(), known_under_};
  std::vector<std::byte> bytes;
  bytes.reserve(saved_bytes());
  append(bytes, std::as_bytes(std::span(&header, 1)));
  append(bytes, std::as_bytes(std::span(digests_)));
  const std::uint64_t sum = digest(bytes);
  append(bytes, std::as_bytes(std::span(&sum, 1)));
  return bytes;
}

std::uint64_t ExpertDigests::saved_bytes() const {
  return sizeof(Header) + store_.size() * sizeof(Digests) + sizeof(std::uint64_t);
}

bool ExpertDigests::restore(std::span<const std::byte> bytes) {
  if (bytes.size() != saved_bytes()) return false;
  const std::span<const std::byte> covered = bytes.first(bytes.size() - sizeof(std::uint64_t));
  Header header;
  std::uint64_t sum = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&sum, covered.data() + covered.size(), sizeof sum);
  if (sum != digest(covered) || header.magic != magic || header.fingerprint != fingerprint_ ||
      header.experts != store_.size()) {
    return false;
  }
  const Lock lock(mutex_);
  std::memcpy(digests_.data(), covered.data() + sizeof header, covered.size() - sizeof header);
  known_under_ = header.stamps;
  saved_ = changes_;
  return true;
}

ExpertDigests::Cost ExpertDigests::cost() const {
  return {bytes_, static_cast<double>(nanoseconds_) * 1e-9,
          static_cast<double>(waited_nanoseconds_) * 1e-9};
}

}  // namespace hearth::engine
