// Merging ranges.
#include "daemon/hub/ranges.hpp"

#include <algorithm>

namespace hearth::hub {

void Ranges::add(Range range) {
  if (range.begin >= range.end) return;
  const auto first = std::ranges::lower_bound(ranges_, range.begin, {}, &Range::end);
  auto last = first;
  for (; last != ranges_.end() && last->begin <= range.end; ++last) {
    range.begin = std::min(range.begin, last->begin);
    range.end = std::max(range.end, last->end);
  }
  ranges_.insert(ranges_.erase(first, last), range);
}

std::uint64_t Ranges::bytes() const {
  std::uint64_t sum = 0;
  for (const Range& range : ranges_) sum += range.end - range.begin;
  return sum;
}

std::vector<Range> Ranges::missing(std::uint64_t size, std::uint64_t most) const {
  std::vector<Range> missing;
  std::uint64_t at = 0;
  const auto add_until = [&](std::uint64_t end) {
    for (; at < end; at = missing.back().end) missing.push_back({at, std::min(end, at + most)});
  };
  for (const Range& range : ranges_) {
    add_until(std::min(range.begin, size));
    at = std::max(at, range.end);
  }
  add_until(size);
  return missing;
}

}  // namespace hearth::hub
