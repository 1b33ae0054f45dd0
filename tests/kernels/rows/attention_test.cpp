// Attention over a KV cache: the streaming softmax against the plain one in double, and what a
// query's bits may not depend on.
#include <algorithm>
#include <cmath>

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

struct Shape {
  int heads, kv_heads, head_dim;
};

struct Context {
  Context(Shape of, std::int64_t first_position, int row_count, DType kv_type = DType::f32)
      : shape(of),
        first(first_position),
        rows(row_count),
        type(kv_type),
        k(made_up(positions() * kv_width(), 1, 1)),
        v(made_up(positions() * kv_width(), 1, 2)),
        q(made_up(rows * width(), 3, 3)) {}

  std::int64_t positions() const { return first + rows; }
  int kv_width() const { return shape.kv_heads * shape.head_dim; }
  int width() const { return shape.heads * shape.head_dim; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }

  // The cache filled in uneven pieces.
  KvCache filled(TestDevice& d) const {
    KvCache kv = d.kv(type, positions() + 3, shape.kv_heads, shape.head_dim);
    for (std::int64_t begin = 0; begin < positions();) {
      const std::int64_t end = std::min(positions(), begin + 1 + begin / 2);
      const auto part = [&](const Values& all) {
        return d.put({all.begin() + begin * kv_width(), all.begin() + end * kv_width()});
      };
      d->kv_append(kv, part(k), part(v), begin, static_cast<int>(end - begin));
      begin = end;
    }
    return kv;
  }

  // The queries [begin, begin + count) alone.
  Values attend(TestDevice& d, int begin, int count) const {
    const KvCache kv = filled(d);
    const Slice out = d.room(count * width());
    d->attention({.rows = count,
                  .heads = shape.heads,
                  .first_position = first + begin,
                  .scale = scale(),
                  .q = d.put({q.begin() + begin * width(), q.begin() + (begin + count) * width()}),
                  .out = out},
                 kv);
    return d.get(out);
  }
  Values attend(TestDevice& d) const { return attend(d, 0, rows); }

  Exact exact() const {
    Exact out;
    for (int r = 0; r < rows; ++r)
      for (int h = 0; h < shape.heads; ++h) {
        const int kv_head = h / (shape.heads / shape.kv_heads);
        const float* const query = q.data() + r * width() + h * shape.head_dim;
        Exact weights;
        for (std::int64_t p = 0; p <= first + r; ++p) {
          const float* const key = k.data() + p * kv_width() + kv_head * shape.head_dim;
          double score = 0;
          for (int i = 0; i < shape.head_dim; ++i) score += double{query[i]} * key[i];
          weights.push_back(score * scale());
        }
        const double max = *std::max_element(weights.begin(), weights.end());
        double total = 0;
        for (double& weight : weights) total += weight = std::exp(weight - max);
        for (int i = 0; i < shape.head_dim; ++i) {
          double value = 0;
          for (std::int64_t p = 0; p <= first + r; ++p)
            value += weights[static_cast<std::size_t>(p)] *
                     v[static_cast<std::size_t>(p * kv_width() + kv_head * shape.head_dim + i)];
          out.push_back(value / total);
        }
      }
    return out;
  }

  Shape shape;
  std::int64_t first;
  int rows;
  DType type;
  Values k, v, q;
};

TEST_CASE("attention is a softmax over what the query may see, with the same bits on every ISA") {
  struct Run {
    std::int64_t first;
    int rows;
  };
  for (const Shape shape :
       {Shape{1, 1, 1}, Shape{8, 1, 33}, Shape{6, 2, 64}, Shape{16, 2, 31}, Shape{3, 3, 130}})
    for (const Run run :
         {Run{0, 1}, Run{0, 5}, Run{62, 4}, Run{127, 1}, Run{254, 5}, Run{700, 2}}) {
      CAPTURE(shape.heads);
      CAPTURE(shape.head_dim);
      CAPTURE(run.first);
      for (const DType type : {DType::f32, DType::f16}) {
        const Context context(shape, run.first, run.rows, type);
        const Values out = everywhere([&](TestDevice& d) { return context.attend(d); });
        const double tolerance = type == DType::f32 ? 2e-6 : 2e-3;
        CHECK(deviation(out, context.exact(), tolerance, tolerance) == "");
      }
    }
}

TEST_CASE("a query's bits are the same alone and beside others") {
  const Context context({4, 2, 40}, 250, 9);
  const Values together = best([&](TestDevice& d) { return context.attend(d); });
  for (int r = 0; r < context.rows; ++r) {
    const Values alone = best([&](TestDevice& d) { return context.attend(d, r, 1); });
    const auto begin = together.begin() + r * context.width();
    CHECK(difference(alone, Values(begin, begin + context.width())) == "");
  }
}

TEST_CASE("many queries, which share spans, have the bits of one alone on every thread count") {
  // More rows than one piece takes, more spans than one turn.
  const Context context({4, 2, 64}, 300, 70);
  const Values together = everywhere([&](TestDevice& d) { return context.attend(d); });
  for (const int r : {0, 31, 32, 69}) {
    const Values alone = best([&](TestDevice& d) { return context.attend(d, r, 1); });
    const auto begin = together.begin() + r * context.width();
    CHECK(difference(alone, Values(begin, begin + context.width())) == "");
  }
}

TEST_CASE("more queries than the scratch memory holds spans for have the same bits") {
  const Context context({1024, 512, 8}, 1030, 12);
  const Values together = best([&](TestDevice& d) { return context.attend(d); });
  const Values last = best([&](TestDevice& d) { return context.attend(d, 11, 1); });
  CHECK(difference(last, Values(together.end() - context.width(), together.end())) == "");
}

TEST_CASE("scores far apart give the value of the largest") {
  Context context({1, 1, 4}, 300, 1);
  for (float& value : context.q) value = 1000;
  std::fill(context.k.begin(), context.k.end(), 0.0f);
  std::fill(context.k.begin() + 100 * 4, context.k.begin() + 101 * 4, 1.0f);
  const Values out = everywhere([&](TestDevice& d) { return context.attend(d); });
  CHECK(difference(out, Values(context.v.begin() + 400, context.v.begin() + 404)) == "");
}

TEST_CASE("a key or value that f16 cannot hold is an error that says what to do") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  KvCache kv = d.kv(DType::f16, 4, 1, 2);
  const Slice good = d.put({1, -65504});
  d->kv_append(kv, good, good, 0, 1);
  for (const float bad : {65505.0f, -70000.0f, HUGE_VALF, std::nanf("")}) {
    const Slice wrong = d.put({1, bad});
    CHECK_THROWS_WITH_AS(
        d->kv_append(kv, good, wrong, 1, 1),
        "a key or value of the attention is beyond ±65504 or not a number, which F16 cannot hold; "
        "use kv = \"f32\"",
        Error);
    CHECK_THROWS_AS(d->kv_append(kv, wrong, good, 1, 1), Error);
  }
  std::vector<std::byte> second(4);
  d->read(kv.keys, 4, second);
  CHECK(second == std::vector<std::byte>(4));  // nothing was written
}

TEST_CASE("f32 keeps what f16 cannot hold") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  KvCache kv = d.kv(DType::f32, 1, 1, 2);
  d->kv_append(kv, d.put({1e30f, -1e30f}), d.put({1, 2}), 0, 1);
  CHECK(d.get(slice(kv.keys)) == Values{1e30f, -1e30f});
}

TEST_CASE("positions beyond the cache and heads that do not divide are errors") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  KvCache kv = d.kv(DType::f32, 4, 2, 2);
  const Slice row = d.room(4);
  CHECK_THROWS_AS(d->kv_append(kv, row, row, 4, 1), Error);
  CHECK_THROWS_AS(d->kv_append(kv, row, row, -1, 1), Error);
  const auto attend = [&](int heads, std::int64_t position) {
    const Slice q = d.room(heads * 2), out = d.room(heads * 2);
    d->attention({.rows = 1, .heads = heads, .first_position = position, .q = q, .out = out}, kv);
  };
  CHECK_THROWS_AS(attend(3, 0), Error);
  CHECK_THROWS_AS(attend(2, 4), Error);
  attend(2, 3);
}

}  // namespace
}  // namespace hearth::kernels::test
