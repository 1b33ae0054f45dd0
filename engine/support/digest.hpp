// XXH3, 64 bits, in the best instruction set of this processor: fast enough to look at every byte
// of the weights that is read. Against damage, not against an adversary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::engine {

// With a seed other than 0 it depends on that, too; so digests of pieces can be chained.
std::uint64_t digest(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace hearth::engine
