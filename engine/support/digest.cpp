// The one place that knows the xxHash library.
#include "engine/support/digest.hpp"

#include <xxh_x86dispatch.h>

namespace hearth::engine {

std::uint64_t digest(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace hearth::engine
