// How fast this machine reads memory and multiplies at all: what the speed of everything else is
// compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/ops.hpp"

namespace hearth::kernels {

// A way to read memory: fetches `bytes` (a multiple of 32 KiB) and returns something made of them.
struct ReadingWay {
  const char* name;  // "avx512, 2 streams, 2 KiB ahead"
  Isa isa;           // what the host must have
  std::uint64_t (*read)(const std::byte* from, std::size_t bytes);
};
std::span<const ReadingWay> reading_ways();

// Bytes a second that `threads` threads read from memory together, by the best of several ways of
// reading. Takes about a second and 256 MiB.
double read_bandwidth(int threads);

// F32 operations a second (a fused multiply-add counts two) with everything in registers. On AMX a
// multiply-add of F32 is three of BF16, one for each part of x: a third of the rate of the tiles.
double arithmetic_peak(int threads, Isa isa);

// Bytes a second of copies to a device and from it, of page-locked and of ordinary memory.
struct LinkSpeed {
  double to_locked = 0;
  double from_locked = 0;
  double to_plain = 0;
  double from_plain = 0;
};
// Takes some milliseconds, and 32 MiB of the device; throws std::bad_alloc where it has no room,
// Error where it fails.
LinkSpeed measure_link(Backend& device);

}  // namespace hearth::kernels
