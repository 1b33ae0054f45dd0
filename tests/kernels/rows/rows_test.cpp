// What moves rows about: top-k, splitting, gathering, scattering.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

struct Picked {
  std::vector<std::int32_t> ids;
  Values values;
};

Picked top_k(const Values& x, int rows, int dim, int k) {
  TestDevice d(backend(Isa::scalar, 2), 1);
  const auto count = static_cast<std::size_t>(rows * k);
  Picked result{std::vector<std::int32_t>(count), Values(count)};
  d->top_k(d.put(x), rows, dim, k, result.ids, result.values);
  return result;
}

TEST_CASE("top_k gives the largest by falling value, the lower index first among equals") {
  constexpr int rows = 3, dim = 515;
  Values x = made_up(rows * dim, 4, 1);
  for (float& value : x) value = std::round(value * 8);  // many equals
  for (const int k : {1, 10, dim}) {
    const Picked picked = top_k(x, rows, dim, k);
    for (int r = 0; r < rows; ++r) {
      std::vector<std::int32_t> order(dim);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        return x[r * dim + a] > x[r * dim + b];
      });
      for (int i = 0; i < k; ++i) {
        CHECK(picked.ids[r * k + i] == order[i]);
        CHECK(picked.values[r * k + i] == x[r * dim + order[i]]);
      }
    }
  }
}

TEST_CASE("top_k takes NaN for less than every number") {
  const float nan = std::nanf("");
  const Picked picked = top_k({nan, -HUGE_VALF, nan, 2, HUGE_VALF}, 1, 5, 5);
  CHECK(picked.ids == std::vector<std::int32_t>{4, 3, 1, 0, 2});
}

TEST_CASE("top_k of more than there are is an error") {
  CHECK_THROWS_WITH_AS(top_k({1, 2}, 1, 2, 3), "top_k: 3 of 2", Error);
}

TEST_CASE("split_groups deals the parts of every group out, group after group") {
  // Two rows of two groups [a a | b | c c c].
  Values in(2 * 2 * 6);
  std::iota(in.begin(), in.end(), 0.0f);
  TestDevice d(backend(Isa::scalar, 3), 1);
  const Slice both = d.room(2 * 6);  // a and b behind each other in one row
  const Slice c = d.room(2 * 6);
  const SplitSpec parts[] = {{both, 2, 6, 0}, {both, 1, 6, 4}, {c, 3, 6, 0}};
  d->split_groups(d.put(in), 2, 2, parts);
  CHECK(d.get(both) == Values{0, 1, 6, 7, 2, 8, 12, 13, 18, 19, 14, 20});
  CHECK(d.get(c) == Values{3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23});
}

TEST_CASE("split_groups of many rows gives the same on every thread count") {
  constexpr int rows = 200, groups = 16;
  const Values in = made_up(rows * groups * 24, 1, 3);
  everywhere([&](TestDevice& d) {
    const Slice q = d.room(rows * groups * 7), v = d.room(rows * groups * 17);
    const SplitSpec parts[] = {{q, 7, groups * 7, 0}, {v, 17, groups * 17, 0}};
    d->split_groups(d.put(in), rows, groups, parts);
    Values all = d.get(q);
    const Values rest = d.get(v);
    all.insert(all.end(), rest.begin(), rest.end());
    return all;
  });
}

TEST_CASE("gather_rows and scatter_rows are each other's reverse") {
  const Values x = made_up(4 * 3, 1, 4);
  const std::vector<std::int32_t> rows = {2, 0, 3};
  TestDevice d(backend(Isa::scalar, 1), 1);
  const Slice picked = d.room(3 * 3);
  d->gather_rows(d.put(x), 3, rows, picked);
  CHECK(d.get(picked) == Values{x[6], x[7], x[8], x[0], x[1], x[2], x[9], x[10], x[11]});
  const Slice back = d.put(Values(4 * 3, 0));
  d->scatter_rows(picked, 3, rows, back);
  Values expected = x;
  std::fill(expected.begin() + 3, expected.begin() + 6, 0.0f);
  CHECK(d.get(back) == expected);
}

TEST_CASE("a row outside the source or the target is an error") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  const std::vector<std::int32_t> rows = {4};
  CHECK_THROWS_WITH_AS(d->gather_rows(d.room(12), 3, rows, d.room(3)),
                       "gather_rows: index 4 is outside [0, 4)", Error);
  CHECK_THROWS_AS(d->scatter_rows(d.room(3), 3, rows, d.room(12)), Error);
  CHECK_THROWS_AS(d->gather_rows(d.room(15), 3, rows, d.room(2)), Error);
}

}  // namespace
}  // namespace hearth::kernels::test
