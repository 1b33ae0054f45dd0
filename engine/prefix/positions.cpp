// See prefix_cuts.hpp.
#include "engine/prefix_cuts.hpp"

#include <algorithm>
#include <utility>

namespace hearth::engine {

namespace {

constexpr std::size_t before_end = 16;

bool in_window(std::size_t position, std::size_t total) {
  return position + before_end_most >= total && position + before_end_least <= total;
}

}  // namespace

std::vector<Cut> wanted_cuts(const CutRange& range, std::span<const std::size_t> marks,
                             std::size_t distance, std::size_t known) {
  std::vector<Cut> cuts;
  bool near_end = in_window(known, range.total);
  const auto want = [&](std::size_t position, CheckpointKind kind) {
    const bool taken =
        std::ranges::any_of(cuts, [&](const Cut& cut) { return cut.position == position; });
    if (position >= range.total || taken) return;
    near_end = near_end || in_window(position, range.total);
    if (position > range.begin && position <= range.end) cuts.push_back({position, kind});
  };
  for (const std::size_t mark : marks) want(mark, CheckpointKind::mark);
  for (std::size_t at = distance; at <= range.end; at += distance)
    want(at, CheckpointKind::regular);
  if (range.total > before_end && !near_end)
    want(range.total - before_end, CheckpointKind::before_end);
  const bool typed = range.total - range.synced < keystroke_tokens;
  if (range.end == range.total)
    cuts.push_back({range.total, typed ? CheckpointKind::typed : CheckpointKind::end});
  std::ranges::sort(cuts, {}, &Cut::position);
  return cuts;
}

void limit_cuts(std::vector<Cut>& cuts, std::size_t most, const CutRange& range) {
  const auto rank = [&](std::size_t i) {
    const auto [position, kind] = cuts[i];
    const auto lost = static_cast<double>(position - (i == 0 ? range.begin : cuts[i - 1].position));
    if (kind == CheckpointKind::regular)
      return std::pair(0, lost / static_cast<double>(range.total - position));
    return std::pair(kind == CheckpointKind::mark ? 1 : 2, lost);
  };
  while (cuts.size() > most) {
    std::size_t least = 0;
    for (std::size_t i = 1; i < cuts.size(); ++i)
      if (rank(i) < rank(least)) least = i;
    cuts.erase(cuts.begin() + static_cast<std::ptrdiff_t>(least));
  }
}

}  // namespace hearth::engine
