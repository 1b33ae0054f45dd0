// Line changes lead from one text to the other, are small, and cost little whatever the texts are.
#include "lsp/edits/diff.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace hearth::lsp {
namespace {

using Lines = std::vector<std::uint32_t>;

// `before` with the changes made.
Lines changed(const Lines& before, const Lines& after, const std::vector<LineChange>& changes) {
  Lines result;
  std::size_t at = 0;
  for (const LineChange& change : changes) {
    for (; at < change.old_begin; ++at) result.push_back(before[at]);
    for (std::size_t i = change.new_begin; i < change.new_end; ++i) result.push_back(after[i]);
    at = change.old_end;
  }
  for (; at < before.size(); ++at) result.push_back(before[at]);
  return result;
}

// Lines that are written or removed.
std::size_t cost(const std::vector<LineChange>& changes) {
  std::size_t sum = 0;
  for (const LineChange& change : changes) {
    sum += change.old_end - change.old_begin + change.new_end - change.new_begin;
  }
  return sum;
}

std::size_t least_cost(const Lines& a, const Lines& b) {
  std::vector<std::vector<std::size_t>> common(a.size() + 1,
                                               std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      common[i + 1][j + 1] =
          a[i] == b[j] ? common[i][j] + 1 : std::max(common[i][j + 1], common[i + 1][j]);
    }
  }
  return a.size() + b.size() - 2 * common[a.size()][b.size()];
}

void check_form(const Lines& before, const Lines& after, const std::vector<LineChange>& changes) {
  CHECK(changed(before, after, changes) == after);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const LineChange& change = changes[i];
    CHECK(change.old_begin + change.new_begin < change.old_end + change.new_end);
    if (i > 0) CHECK(changes[i - 1].old_end < change.old_begin);
    if (i > 0) CHECK(changes[i - 1].new_end < change.new_begin);
  }
}

}  // namespace

TEST_CASE("changes of small texts are the least there are") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t kinds = 1 + random() % 6;
    Lines before(random() % 14);
    Lines after(random() % 14);
    for (auto* lines : {&before, &after}) {
      for (std::uint32_t& line : *lines) line = static_cast<std::uint32_t>(random() % kinds);
    }
    const std::vector<LineChange> changes = line_changes(before, after);
    check_form(before, after, changes);
    CHECK(cost(changes) == least_cost(before, after));
  }
}

TEST_CASE("equal texts have no changes, and empty ones are no special case") {
  CHECK(line_changes({}, {}).empty());
  const Lines lines{1, 2, 3};
  CHECK(line_changes(lines, lines).empty());
  CHECK(line_changes({}, lines) == std::vector<LineChange>{{0, 0, 0, 3}});
  CHECK(line_changes(lines, {}) == std::vector<LineChange>{{0, 3, 0, 0}});
}

TEST_CASE("large texts with many changes keep what they have in common, within the budget") {
  std::mt19937_64 random(11);
  // Every other line changes: more than the search for the shortest script may cost.
  Lines before(20'000);
  Lines after;
  for (std::uint32_t i = 0; i < before.size(); ++i) {
    before[i] = i;
    after.push_back(i % 2 == 0 ? i : 100'000 + i);
  }
  const std::vector<LineChange> changes = line_changes(before, after);
  check_form(before, after, changes);
  CHECK(cost(changes) == before.size());
}

TEST_CASE("texts that are hard to compare are compared in bounded time") {
  std::mt19937_64 random(13);
  Lines before(100'000);
  Lines after(100'000);
  for (std::uint32_t& line : before) line = static_cast<std::uint32_t>(random() % 3);
  for (std::uint32_t& line : after) line = static_cast<std::uint32_t>(random() % 3);
  check_form(before, after, line_changes(before, after));

  // Anchors within anchors: each pair of lines is unique only when the pair around it is gone.
  for (std::uint32_t i = 0; i < before.size(); ++i) {
    before[i] = i / 2;
    after[i] = (i + 1) / 2;
  }
  check_form(before, after, line_changes(before, after));
}

}  // namespace hearth::lsp
