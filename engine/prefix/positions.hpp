// The positions in a prompt where checkpoints are wanted. Knows neither what one holds nor where it
// is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/prefix/tree.hpp"

namespace hearth::engine {

struct CheckpointPosition {
  std::size_t position = 0;  // tokens of the sequence
  CheckpointKind kind = CheckpointKind::regular;
};

// Fewer new tokens than this mean a keystroke, not a new prompt.
inline constexpr std::size_t keystroke_tokens = 64;

// A prompt that is read, and the part of it, (begin, end], that is read now.
struct PositionRange {
  std::size_t synced = 0;  // tokens that were there before
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t total = 0;  // tokens of the prompt
};

// A state this close to a prompt's end is near enough: behind it typing changes tokens, and from it
// few are computed again. Closer ones typing leaves behind.
inline constexpr std::size_t before_end_min = 12;
inline constexpr std::size_t before_end_max = 24;

// By rising position. `distance`: of the regular ones; `known`: a checkpoint that the prompt's last
// tokens can go back to.
std::vector<CheckpointPosition> wanted_positions(const PositionRange& range,
                                                 std::span<const std::size_t> boundaries,
                                                 std::size_t distance, std::size_t known);

// Drops all but `max`: regular ones first, then boundaries, each time the one whose absence costs
// least. That is what has to be computed again from the position before it; with regular ones,
// beside what a prompt that parts there computes anyway: so they get denser towards the
// prompt's end.
void limit_positions(std::vector<CheckpointPosition>& positions, std::size_t max,
                     const PositionRange& range);

}  // namespace hearth::engine
