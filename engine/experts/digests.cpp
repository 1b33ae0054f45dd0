// ExpertDigests: takes, compares and encodes the experts' digests.
#include "engine/experts/digests.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
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
      known_under_(stamps) {}

std::string ExpertDigests::check(ExpertStore::Key key, std::span<const std::byte> slot) {
  const auto began = std::chrono::steady_clock::now();
  const std::array<std::span<const std::byte>, 3> parts = store_.parts(key, slot);
  Digests now{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    now[i] = std::max<std::uint64_t>(digest(parts[i]), 1);
    bytes_ += parts[i].size();
  }
  nanoseconds_ += static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began)
          .count());
  std::string difference;
  {
    const Lock lock(mutex_);
    Digests& before = digests_[static_cast<std::size_t>(key)];
    if (before == now) return {};
    if (before == Digests{}) {
      before = now;
      ++changes_;
      return {};
    }
    const auto part =
        static_cast<std::size_t>(std::ranges::mismatch(before, now).in1 - before.begin());
    difference = store_.description(key, part) +
                 " is not what it was when earlier answers were computed; what was kept of them is "
                 "dropped. ";
    const bool files_changed = known_under_ != stamps_;
    difference += files_changed
                      ? "If the file was repaired, ask again; else download it again."
                      : "Nobody changed the file, so the disk or the memory is at fault: check "
                        "them, and download the file again.";
    last_difference_ = difference;
    ++differences_;       // from here on nothing needs memory
    if (files_changed) {  // what is read now counts
      std::ranges::fill(digests_, Digests{});
      before = now;
      known_under_ = stamps_;
      ++changes_;
    }
  }
  if (note_) note_(difference);
  return difference;
}

std::string ExpertDigests::last_difference() const {
  const Lock lock(mutex_);
  return last_difference_;
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
  return {bytes_, static_cast<double>(nanoseconds_) * 1e-9};
}

}  // namespace hearth::engine
