// Where in a prompt checkpoints are wanted. Knows neither what one holds nor where it is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/prefix_tree.hpp"

namespace hearth::engine {

struct Cut {
  std::size_t position = 0;  // tokens of the sequence
  CheckpointKind kind = CheckpointKind::regular;
};

// Whoever computed fewer tokens than this only typed.
inline constexpr std::size_t keystroke_tokens = 64;

// A prompt that is read, and the part of it, (begin, end], that is read now.
struct CutRange {
  std::size_t synced = 0;  // tokens that were there before
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t total = 0;  // tokens of the prompt
};

// A state this close to a prompt's end is near enough: behind it typing changes tokens, and from it
// few are computed again. Closer ones typing leaves behind.
inline constexpr std::size_t before_end_least = 12;
inline constexpr std::size_t before_end_most = 24;

// By rising position. `distance`: of the regular ones; `known`: a checkpoint that the prompt's last
// tokens can go back to.
std::vector<Cut> wanted_cuts(const CutRange& range, std::span<const std::size_t> marks,
                             std::size_t distance, std::size_t known);

// Drops all but `most`: regular ones first, then marks, each time the one whose absence costs
// least. That is what has to be computed again from the cut before it; with regular ones, beside
// what a prompt that parts there computes anyway: so they lie the closer, the nearer to the
// prompt's end.
void limit_cuts(std::vector<Cut>& cuts, std::size_t most, const CutRange& range);

}  // namespace hearth::engine
