// Products through the shortlist: the candidates against the whole product, on matrices made to
// mislead.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

struct Problem {
  DType type = DType::bf16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<std::byte> codes;
  Values scales;
  Values x;  // one row or several
};

Problem made_up_problem(DType type, std::int64_t rows, std::int64_t cols, int activations) {
  Problem p{.type = type,
            .rows = rows,
            .cols = cols,
            .codes = made_up_codes(type, rows * cols, 5),
            .scales = {},
            .x = made_up(activations * cols, 3, 6)};
  if (type == DType::f8_e4m3)
    p.scales = made_up(((rows + 127) / 128) * ((cols + 127) / 128), 0.05f, 7);
  return p;
}

// A problem in F32 from its values.
Problem plain_problem(const Values& weights, std::int64_t cols, const Values& x) {
  Problem p{.type = DType::f32,
            .rows = static_cast<std::int64_t>(weights.size()) / cols,
            .cols = cols,
            .codes = std::vector<std::byte>(weights.size() * sizeof(float)),
            .scales = {},
            .x = x};
  std::memcpy(p.codes.data(), weights.data(), p.codes.size());
  return p;
}

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

struct Found {
  std::vector<Candidates> candidates;
  std::size_t max = 0;  // candidates of one row of activations
};

// Shortlists the problem on every ISA and several thread counts, and checks what is promised.
Found check(const Problem& p, int k, const std::vector<std::int32_t>& always = {}) {
  const auto activations = static_cast<int>(p.x.size()) / static_cast<int>(p.cols);
  Found found;
  for (const Isa isa : host_isas())
    for (const int threads : {1, 3}) {
      CAPTURE(name(isa));
      CAPTURE(threads);
      CAPTURE(k);
      TestDevice d(backend(isa, threads), 1);
      const Matrix w = d.matrix(p.type, p.rows, p.cols, p.codes, p.scales);
      const Slice x = d.put(p.x);
      const Slice y = d.room(activations * p.rows);
      d->matmul(w, x, y, activations);
      const Values whole = d.get(y);

      const Shortlist shortlist = d->make_shortlist(w);
      CHECK(shortlist.bytes() == Backend::shortlist_bytes(p.rows, p.cols));
      std::vector<Candidates> out(static_cast<std::size_t>(activations));
      d->shortlist_top(shortlist, w, x, activations, k, always, out);

      const auto wanted = static_cast<int>(std::min<std::int64_t>(k, p.rows));
      const auto count = static_cast<std::size_t>(activations * wanted);
      std::vector<std::int32_t> best(count);
      Values values(count);
      d->top_k(y, activations, static_cast<int>(p.rows), wanted, best, values);
      int missing = 0, different = 0;
      for (int r = 0; r < activations; ++r) {
        const Candidates& c = out[static_cast<std::size_t>(r)];
        const auto has = [&](std::int32_t id) {
          return std::binary_search(c.ids.begin(), c.ids.end(), id);
        };
        CHECK(std::adjacent_find(c.ids.begin(), c.ids.end(), std::greater_equal<>()) ==
              c.ids.end());
        CHECK(c.ids.size() == c.scores.size());
        for (int i = 0; i < wanted; ++i)
          missing += has(best[static_cast<std::size_t>(r * wanted + i)]) ? 0 : 1;
        for (const std::int32_t id : always) missing += has(id) ? 0 : 1;
        for (std::size_t i = 0; i < c.ids.size(); ++i)
          different +=
              same_bits(c.scores[i], whole[static_cast<std::size_t>(r * p.rows + c.ids[i])]) ? 0
                                                                                             : 1;
        found.max = std::max(found.max, c.ids.size());
      }
      CHECK(missing == 0);
      CHECK(different == 0);
      if (found.candidates.empty()) found.candidates = out;
      for (std::size_t r = 0; r < out.size(); ++r) CHECK(out[r].ids == found.candidates[r].ids);
    }
  return found;
}

constexpr int ks[] = {1, 20, 64};

TEST_CASE("shortlist finds what the whole product finds, from a few exact products") {
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::f8_e4m3})
    for (const int k : ks) {
      const Problem p = made_up_problem(type, 3000, 300, 1);
      CHECK(check(p, k, {2999, 0, 7, 7}).max < 900);
    }
}

TEST_CASE("several rows of activations go through the shortlist together, each for itself") {
  const Problem p = made_up_problem(DType::bf16, 700, 130, 5);
  const Found together = check(p, 3);
  for (int r = 0; r < 5; ++r) {
    Problem alone = p;
    alone.x.assign(p.x.begin() + r * p.cols, p.x.begin() + (r + 1) * p.cols);
    CHECK(check(alone, 3).candidates[0].ids ==
          together.candidates[static_cast<std::size_t>(r)].ids);
  }
}

TEST_CASE("rows that tie are all candidates") {
  Values weights = made_up(400 * 70, 1, 8);
  for (int copy = 0; copy < 50; ++copy)
    std::copy_n(weights.begin() + 3 * 70, 70, weights.begin() + (100 + copy) * 70);
  const Values x(weights.begin() + 3 * 70, weights.begin() + 4 * 70);  // row 3 is the largest
  for (const int k : ks) CHECK(check(plain_problem(weights, 70, x), k).max >= 51);
}

TEST_CASE("rows that differ by one bit are told apart by their exact products") {
  Values weights = made_up(300 * 64, 1, 9);
  const Values x(weights.begin(), weights.begin() + 64);
  for (int row = 0; row < 300; row += 3)
    for (int c = 0; c < 64; ++c)
      weights[static_cast<std::size_t>(row * 64 + c)] =
          c == row % 64
              ? std::nextafter(x[static_cast<std::size_t>(c)], row % 2 == 0 ? 2.0f : -2.0f)
              : x[static_cast<std::size_t>(c)];
  for (const int k : ks) check(plain_problem(weights, 64, x), k);
}

TEST_CASE("rows of very different sizes, zero rows and numbers below the normal ones") {
  Values weights = made_up(600 * 45, 1, 10);
  const auto scale_row = [&](int row, float factor) {
    for (int c = 0; c < 45; ++c) weights[static_cast<std::size_t>(row * 45 + c)] *= factor;
  };
  for (int row = 0; row < 600; ++row) scale_row(row, std::ldexp(1.0f, row % 120 - 140));
  for (int row = 5; row < 600; row += 50) scale_row(row, 0);
  for (const float size : {1.0f, 1e-38f, 1e-44f, 1e15f})
    for (const int k : ks) check(plain_problem(weights, 45, made_up(45, size, 11)), k);
  // All that is left of the largest values are lost bits.
  for (int row = 0; row < 600; ++row) scale_row(row, std::ldexp(1.0f, -(row % 120)));
  for (const int k : ks) check(plain_problem(weights, 45, made_up(45, 1e-6f, 12)), k);
}

TEST_CASE("one weight or activation that is far larger than the others hides nothing") {
  Values weights = made_up(500 * 200, 1, 13);
  for (int row = 0; row < 500; row += 2)
    weights[static_cast<std::size_t>(row * 200 + row % 200)] = 1e4f;
  Values x = made_up(200, 1, 14);
  for (const int k : ks) check(plain_problem(weights, 200, x), k);
  x[17] = -3e5f;
  for (const int k : ks) check(plain_problem(weights, 200, x), k);
}

TEST_CASE("the largest codes in rows longer than a 32-bit sum can take") {
  constexpr int cols = 9001;
  Values weights(static_cast<std::size_t>(40 * cols), 1.0f);
  for (int row = 0; row < 40; row += 2)
    for (int c = 0; c < cols; ++c) weights[static_cast<std::size_t>(row * cols + c)] = -1.0f;
  Values x(static_cast<std::size_t>(3 * cols), 1.0f);
  for (int c = cols; c < 2 * cols; ++c) x[static_cast<std::size_t>(c)] = -1.0f;
  for (int c = 2 * cols; c < 3 * cols; c += 2) x[static_cast<std::size_t>(c)] = 0.5f;
  check(plain_problem(weights, cols, x), 1);
}

TEST_CASE("rows whose sums may overflow or are not numbers are always multiplied") {
  Values weights = made_up(200 * 40, 1, 15);
  weights[10 * 40 + 3] = std::numeric_limits<float>::quiet_NaN();
  weights[11 * 40 + 4] = HUGE_VALF;
  weights[12 * 40 + 5] = 3e38f;
  for (const int k : ks) {
    const Found found = check(plain_problem(weights, 40, made_up(40, 1, 16)), k);
    for (const int row : {10, 11, 12})
      CHECK(
          std::binary_search(found.candidates[0].ids.begin(), found.candidates[0].ids.end(), row));
    CHECK(found.max < 200);
  }
  Problem f8 = made_up_problem(DType::f8_e4m3, 300, 130, 1);
  f8.codes[130 * 9 + 1] = std::byte{0x7f};
  f8.scales[2] = 1e30f;
  for (const int k : ks) check(f8, k);
}

TEST_CASE("activations that are zero, infinite or not numbers make every row a candidate") {
  const Values weights = made_up(100 * 33, 1, 17);
  for (const float odd : {HUGE_VALF, std::numeric_limits<float>::quiet_NaN(), 3e38f}) {
    Values x = made_up(33, 1, 18);
    x[5] = odd;
    CHECK(check(plain_problem(weights, 33, x), 4).max == 100);
  }
  CHECK(check(plain_problem(weights, 33, Values(33)), 4).max == 100);
}

TEST_CASE("k beyond the rows gives every row, k of none only those asked for") {
  const Problem p = made_up_problem(DType::bf16, 50, 64, 1);
  CHECK(check(p, 50).max == 50);
  CHECK(check(p, 1000).max == 50);
  CHECK(check(p, 0).max == 0);
  CHECK(check(p, 0, {4, 2}).candidates[0].ids == std::vector<std::int32_t>{2, 4});
}

TEST_CASE("an interrupted shortlist leaves nothing behind") {
  TestDevice d(backend(host_isas().back(), 2), 0);
  const Problem p = made_up_problem(DType::bf16, 300, 64, 1);
  const Matrix w = d.matrix(p.type, p.rows, p.cols, p.codes);
  const Slice x = d.put(p.x);
  const Shortlist shortlist = d->make_shortlist(w);
  std::atomic<bool> interrupt = true;
  d->begin(&interrupt);
  CHECK_FALSE(d->make_shortlist(w));
  std::vector<Candidates> out(1, Candidates{{1}, {1.0f}});
  d->shortlist_top(shortlist, w, x, 1, 5, {}, out);
  CHECK(out[0].ids.empty());
  CHECK_FALSE(d->finish());
}

TEST_CASE("a shortlist of another matrix and a matrix that is too wide are errors that say so") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  const Matrix w = d.matrix(DType::bf16, 4, 64, made_up_codes(DType::bf16, 256, 1));
  const Matrix other = d.matrix(DType::bf16, 2, 128, made_up_codes(DType::bf16, 256, 1));
  std::vector<Candidates> out(1);
  CHECK_THROWS_WITH_AS(d->shortlist_top(d->make_shortlist(w), other, d.room(128), 1, 1, {}, out),
                       "shortlist_top: the shortlist is that of another matrix", Error);
  const std::vector<std::int32_t> outside = {4};
  CHECK_THROWS_AS(d->shortlist_top(d->make_shortlist(w), w, d.put(Values(64)), 1, 1, outside, out),
                  Error);
  const Matrix wide =
      d.matrix(DType::f8_e4m3, 1, 65537, std::vector<std::byte>(65537), Values(513));
  CHECK_THROWS_WITH_AS(
      d->make_shortlist(wide),
      "make_shortlist: a matrix of 65537 columns; at most 65536 can have a shortlist", Error);
}

}  // namespace
}  // namespace hearth::kernels::test
