// What changed between two texts, line by line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hearth::lsp {

// Lines [old_begin, old_end) became [new_begin, new_end). One of the two may be empty.
struct LineChange {
  std::size_t old_begin = 0;
  std::size_t old_end = 0;
  std::size_t new_begin = 0;
  std::size_t new_end = 0;
  bool operator==(const LineChange&) const = default;
};

// In order, with at least one equal line between any two. Lines are given as numbers, equal ones
// for equal lines. The shortest script (Myers) where that is affordable; else what lies between
// lines that occur once in both texts is compared on its own, and in the end replaced as
// a whole. Time and memory are bounded by the number of lines times a constant.
std::vector<LineChange> line_changes(std::span<const std::uint32_t> before,
                                     std::span<const std::uint32_t> after);

}  // namespace hearth::lsp
