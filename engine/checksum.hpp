// A 64-bit checksum for hundreds of megabytes: four lanes of words, so that it goes at the memory's
// speed where a byte-by-byte hash would not. Against damage, not against an adversary.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace hearth::engine {

// Every step maps the lane one to one for a given word and the other way round, so damage within
// one word always shows; the rotation brings high bits down, where the next product spreads them.
inline std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0) {
  constexpr std::uint64_t factor = 0x9e37'79b9'7f4a'7c15;  // odd: 2^64 / golden ratio
  constexpr std::size_t stripe = 4 * sizeof(std::uint64_t);
  const auto step = [](std::uint64_t sum, std::uint64_t word) {
    return std::rotl((sum ^ word) * factor, 29);
  };
  std::array<std::uint64_t, 4> lanes{seed + 1, seed + 2, seed + 3, seed + 4};
  std::array<std::uint64_t, 4> words{};
  const std::size_t whole = bytes.size() / stripe * stripe;
  for (std::size_t at = 0; at < whole; at += stripe) {
    std::memcpy(words.data(), bytes.data() + at, stripe);
    for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = step(lanes[i], words[i]);
  }
  words = {};
  if (whole < bytes.size()) std::memcpy(words.data(), bytes.data() + whole, bytes.size() - whole);
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = step(lanes[i], words[i]);

  std::uint64_t sum = step(seed, bytes.size());
  for (const std::uint64_t lane : lanes) sum = step(sum, lane);
  return sum ^ (sum >> 32);
}

}  // namespace hearth::engine
