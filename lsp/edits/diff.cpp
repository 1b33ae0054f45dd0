// Myers' greedy algorithm within a budget; else anchors, which are lines that occur once in both
// texts.
#include "lsp/edits/diff.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>

namespace hearth::lsp {
namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
constexpr std::ptrdiff_t max_distance = 400;      // of one Myers search: its memory grows squared
constexpr std::size_t search_budget = 4'000'000;  // steps of all searches of one comparison
constexpr int max_depth = 24;                     // of anchors in what anchors have split

struct Box {
  std::size_t a_begin;
  std::size_t a_end;
  std::size_t b_begin;
  std::size_t b_end;
};

class Comparison {
 public:
  Comparison(std::span<const std::uint32_t> a, std::span<const std::uint32_t> b)
      : a_(a), b_(b), partner_(a.size(), none) {}

  std::vector<LineChange> run() {
    align({0, a_.size(), 0, b_.size()}, 0);
    std::vector<LineChange> changes;
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a_.size() || j < b_.size()) {
      if (i < a_.size() && partner_[i] == j) {
        ++i;
        ++j;
        continue;
      }
      const std::size_t a_begin = i;
      while (i < a_.size() && partner_[i] == none) ++i;
      const std::size_t b_end = i < a_.size() ? partner_[i] : b_.size();
      changes.push_back({a_begin, i, j, b_end});
      j = b_end;
    }
    return changes;
  }

 private:
  void align(Box box, int depth) {
    while (box.a_begin < box.a_end && box.b_begin < box.b_end &&
           a_[box.a_begin] == b_[box.b_begin]) {
      partner_[box.a_begin++] = box.b_begin++;
    }
    while (box.a_begin < box.a_end && box.b_begin < box.b_end &&
           a_[box.a_end - 1] == b_[box.b_end - 1]) {
      partner_[--box.a_end] = --box.b_end;
    }
    if (box.a_begin == box.a_end || box.b_begin == box.b_end) return;
    if (search(box) || depth == max_depth) return;
    Box part = box;
    for (const auto& [i, j] : anchors(box)) {
      part.a_end = i;
      part.b_end = j;
      align(part, depth + 1);
      partner_[i] = j;
      part.a_begin = i + 1;
      part.b_begin = j + 1;
    }
    if (part.a_begin == box.a_begin && part.b_begin == box.b_begin) return;  // there were none
    part.a_end = box.a_end;
    part.b_end = box.b_end;
    align(part, depth + 1);
  }

  // Shortest edit script of the box. False, and nothing noted, where it would cost too much.
  bool search(const Box& box) {
    if (steps_ > search_budget) return false;
    const auto n = static_cast<std::ptrdiff_t>(box.a_end - box.a_begin);
    const auto m = static_cast<std::ptrdiff_t>(box.b_end - box.b_begin);
    const std::ptrdiff_t most = std::min(n + m, max_distance);
    // reach[k + most]: how far in a the furthest path on diagonal k (a's offset less b's) came.
    std::vector<std::ptrdiff_t> reach(static_cast<std::size_t>(2 * most + 2), 0);
    std::vector<std::vector<std::ptrdiff_t>> trace;
    const auto at = [&](std::ptrdiff_t k) -> std::ptrdiff_t& {
      return reach[static_cast<std::size_t>(k + most)];
    };
    for (std::ptrdiff_t d = 0; d <= most; ++d) {
      for (std::ptrdiff_t k = -d; k <= d; k += 2) {
        std::ptrdiff_t x = 0;
        if (d > 0) x = k == -d || (k != d && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
        std::ptrdiff_t y = x - k;
        if (x > n || y > m) {  // off the box: nothing continues from here
          at(k) = std::min(x, n + 1);
          continue;
        }
        const std::ptrdiff_t start = x;
        while (x < n && y < m && equal(box, x, y)) {
          ++x;
          ++y;
        }
        at(k) = x;
        steps_ += static_cast<std::size_t>(x - start) + 1;
        if (x == n && y == m) {
          note(box, d, k, trace);
          return true;
        }
      }
      if (steps_ > search_budget) return false;
      trace.emplace_back(reach.begin() + (most - d), reach.begin() + (most + d + 1));
    }
    return false;
  }

  bool equal(const Box& box, std::ptrdiff_t x, std::ptrdiff_t y) const {
    return a_[box.a_begin + static_cast<std::size_t>(x)] ==
           b_[box.b_begin + static_cast<std::size_t>(y)];
  }

  // Goes back along the path that reached the box's end with `d` edits on diagonal `k`. trace[e]
  // holds reach of the diagonals -e … e after e edits.
  void note(const Box& box, std::ptrdiff_t d, std::ptrdiff_t k,
            const std::vector<std::vector<std::ptrdiff_t>>& trace) {
    auto x = static_cast<std::ptrdiff_t>(box.a_end - box.a_begin);
    for (; d >= 0; --d) {
      std::ptrdiff_t start = 0;  // in a, of the equal lines that end this step
      std::ptrdiff_t before = k;
      if (d > 0) {
        const auto& last = trace[static_cast<std::size_t>(d - 1)];
        const auto reached = [&](std::ptrdiff_t diagonal) {
          const std::ptrdiff_t index = diagonal + d - 1;
          return index < 0 || index >= static_cast<std::ptrdiff_t>(last.size())
                     ? std::ptrdiff_t{-1}
                     : last[static_cast<std::size_t>(index)];
        };
        const bool down = k == -d || (k != d && reached(k - 1) < reached(k + 1));
        before = down ? k + 1 : k - 1;
        start = down ? reached(before) : reached(before) + 1;
      }
      while (x > start) {
        --x;
        partner_[box.a_begin + static_cast<std::size_t>(x)] =
            box.b_begin + static_cast<std::size_t>(x - k);
      }
      if (before < k) --x;
      k = before;
    }
  }

  // Pairs of lines that occur once in both sides of the box, in the longest order common to both.
  std::vector<std::pair<std::size_t, std::size_t>> anchors(const Box& box) const {
    struct Count {
      std::size_t in_a = 0;
      std::size_t in_b = 0;
      std::size_t place_in_b = 0;
    };
    std::unordered_map<std::uint32_t, Count> counts;
    for (std::size_t i = box.a_begin; i < box.a_end; ++i) ++counts[a_[i]].in_a;
    for (std::size_t j = box.b_begin; j < box.b_end; ++j) {
      Count& count = counts[b_[j]];
      ++count.in_b;
      count.place_in_b = j;
    }
    // Longest increasing subsequence of the places in b: `tops` are the least last elements of
    // subsequences of each length.
    struct Link {
      std::size_t i;
      std::size_t j;
      std::size_t before;  // in links
    };
    std::vector<Link> links;
    std::vector<std::size_t> tops;
    for (std::size_t i = box.a_begin; i < box.a_end; ++i) {
      const Count& count = counts.at(a_[i]);
      if (count.in_a != 1 || count.in_b != 1) continue;
      const auto top = std::ranges::lower_bound(tops, count.place_in_b, {},
                                                [&](std::size_t link) { return links[link].j; });
      links.push_back({i, count.place_in_b, top == tops.begin() ? none : *(top - 1)});
      if (top == tops.end()) {
        tops.push_back(links.size() - 1);
      } else {
        *top = links.size() - 1;
      }
    }
    std::vector<std::pair<std::size_t, std::size_t>> pairs;
    for (std::size_t link = tops.empty() ? none : tops.back(); link != none;
         link = links[link].before) {
      pairs.emplace_back(links[link].i, links[link].j);
    }
    std::ranges::reverse(pairs);
    return pairs;
  }

  std::span<const std::uint32_t> a_;
  std::span<const std::uint32_t> b_;
  std::vector<std::size_t> partner_;  // of each line of a, in b
  std::size_t steps_ = 0;
};

}  // namespace

std::vector<LineChange> line_changes(std::span<const std::uint32_t> before,
                                     std::span<const std::uint32_t> after) {
  return Comparison(before, after).run();
}

}  // namespace hearth::lsp
