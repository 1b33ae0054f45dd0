// Which bytes of a file are there: sorted ranges that neither touch nor overlap.
#pragma once

#include <cstdint>
#include <vector>

namespace hearth::hub {

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  bool operator==(const Range&) const = default;
};

class Ranges {
 public:
  void add(Range range);
  std::uint64_t bytes() const;
  // What of [0, size) is not there, cut into pieces of at most `most` bytes.
  std::vector<Range> missing(std::uint64_t size, std::uint64_t most) const;
  const std::vector<Range>& all() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

}  // namespace hearth::hub
