// FNV-1a, 64 bits: for "is this the same?", not against an adversary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::engine {

inline constexpr std::uint64_t fnv1a_basis = 0xcbf2'9ce4'8422'2325;

inline std::uint64_t fnv1a(std::span<const std::byte> bytes, std::uint64_t hash = fnv1a_basis) {
  for (const std::byte byte : bytes) {
    hash ^= static_cast<std::uint64_t>(byte);
    hash *= 0x0000'0100'0000'01b3;
  }
  return hash;
}

}  // namespace hearth::engine
