// Chooses and limits the positions of checkpoints.
#include "engine/prefix/positions.hpp"

#include <algorithm>
#include <utility>

namespace hearth::engine {

namespace {

constexpr std::size_t before_end = 16;

bool in_window(std::size_t position, std::size_t total) {
  return position + before_end_max >= total && position + before_end_min <= total;
}

}  // namespace

std::vector<CheckpointPosition> wanted_positions(const PositionRange& range,
                                                 std::span<const std::size_t> boundaries,
                                                 std::size_t distance, std::size_t known) {
  std::vector<CheckpointPosition> positions;
  bool near_end = in_window(known, range.total);
  const auto want = [&](std::size_t position, CheckpointKind kind) {
    const bool taken = std::ranges::any_of(
        positions, [&](const CheckpointPosition& each) { return each.position == position; });
    if (position >= range.total || taken) return;
    near_end = near_end || in_window(position, range.total);
    if (position > range.begin && position <= range.end) positions.push_back({position, kind});
  };
  for (const std::size_t boundary : boundaries) want(boundary, CheckpointKind::boundary);
  for (std::size_t at = distance; at <= range.end; at += distance)
    want(at, CheckpointKind::regular);
  if (range.total > before_end && !near_end)
    want(range.total - before_end, CheckpointKind::before_end);
  const bool typed = range.total - range.synced < keystroke_tokens;
  if (range.end == range.total)
    positions.push_back({range.total, typed ? CheckpointKind::typed : CheckpointKind::end});
  std::ranges::sort(positions, {}, &CheckpointPosition::position);
  return positions;
}

void limit_positions(std::vector<CheckpointPosition>& positions, std::size_t max,
                     const PositionRange& range) {
  const auto rank = [&](std::size_t i) {
    const auto [position, kind] = positions[i];
    const auto lost =
        static_cast<double>(position - (i == 0 ? range.begin : positions[i - 1].position));
    if (kind == CheckpointKind::regular)
      return std::pair(0, lost / static_cast<double>(range.total - position));
    return std::pair(kind == CheckpointKind::boundary ? 1 : 2, lost);
  };
  while (positions.size() > max) {
    std::size_t dropped = 0;
    for (std::size_t i = 1; i < positions.size(); ++i)
      if (rank(i) < rank(dropped)) dropped = i;
    positions.erase(positions.begin() + static_cast<std::ptrdiff_t>(dropped));
  }
}

}  // namespace hearth::engine
