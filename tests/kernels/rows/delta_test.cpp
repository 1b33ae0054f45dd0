// The gated delta rule: both forms against the recurrence in double, and what may be cut where.
#include <cmath>

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

struct Shape {
  int key_heads, value_heads, key_dim, value_dim;
};

// A sequence of tokens and the state before it.
struct Sequence {
  Sequence(Shape of, int row_count, std::int64_t first_position)
      : shape(of),
        rows(row_count),
        first(first_position),
        key_width(of.key_heads * of.key_dim),
        value_width(of.value_heads * of.value_dim),
        mixed(made_up(rows * row_width(), 1, 1)),
        g(made_up(rows * of.value_heads, 1, 2)),
        beta(made_up(rows * of.value_heads, 0.5f, 3)),
        state(made_up(state_size(), 0.5f, 4)) {
    // Keys of length one, as the model has them; decays between 0 and -2; betas between 0 and 1.
    for (int r = 0; r < rows; ++r)
      for (int h = 0; h < 2 * shape.key_heads; ++h) {
        float* const key = mixed.data() + r * row_width() + h * shape.key_dim;
        double square = 1e-6;
        for (int i = 0; i < shape.key_dim; ++i) square += double{key[i]} * key[i];
        for (int i = 0; i < shape.key_dim; ++i) key[i] /= static_cast<float>(std::sqrt(square));
      }
    for (float& value : g) value = -value * value * 2;
    for (float& value : beta) value += 0.5f;
  }

  // q, k and v lie beside each other in one row, as after the convolution.
  int row_width() const { return 2 * key_width + value_width + 5; }
  std::int64_t state_size() const {
    return std::int64_t{shape.value_heads} * shape.key_dim * shape.value_dim;
  }

  // Runs rows [begin, end) from the state `before`; the outputs.
  Values run(TestDevice& d, DeltaForm form, int begin, int end, Slice before, Slice after) const {
    const std::int64_t width = row_width();
    const auto part = [&](const Values& all, std::int64_t each) {
      return d.put({all.begin() + begin * each, all.begin() + end * each});
    };
    const Slice rows_of_all = part(mixed, width);
    const auto at = [&](int offset) {
      const auto skipped = static_cast<std::size_t>(offset);
      return Rows{rows_of_all.sub(skipped, rows_of_all.size() - skipped), width};
    };
    const Slice out = d.room((end - begin) * value_width);
    d->delta_rule({.rows = end - begin,
                   .key_heads = shape.key_heads,
                   .value_heads = shape.value_heads,
                   .key_dim = shape.key_dim,
                   .value_dim = shape.value_dim,
                   .first_position = first + begin,
                   .q = at(0),
                   .k = at(key_width),
                   .v = at(2 * key_width),
                   .g = part(g, shape.value_heads),
                   .beta = part(beta, shape.value_heads),
                   .state_in = before,
                   .state_out = after,
                   .out = out},
                  form);
    return d.get(out);
  }

  // Outputs and then the state, in pieces that end at the cuts.
  Values run(TestDevice& d, DeltaForm form, const std::vector<int>& cuts) const {
    Values all;
    Slice before = d.put(state), after = d.room(state_size());
    int begin = 0;
    for (const int end : cuts) {
      const Values out = run(d, form, begin, end, before, after);
      all.insert(all.end(), out.begin(), out.end());
      std::swap(before, after);
      begin = end;
    }
    const Values last = d.get(before);
    all.insert(all.end(), last.begin(), last.end());
    return all;
  }
  Values run(TestDevice& d, DeltaForm form) const { return run(d, form, {rows}); }

  // S *= e^g; d = (v - Sᵀk)·beta; S += k⊗d; o = Sᵀq, in double.
  Exact exact() const {
    Exact s(state.begin(), state.end()), out;
    for (int r = 0; r < rows; ++r)
      for (int h = 0; h < shape.value_heads; ++h) {
        const int key = h / (shape.value_heads / shape.key_heads) * shape.key_dim;
        const float* const row = mixed.data() + r * row_width();
        const float* const q = row + key;
        const float* const k = row + key_width + key;
        const float* const v = row + 2 * key_width + h * shape.value_dim;
        double* const head = s.data() + std::int64_t{h} * shape.key_dim * shape.value_dim;
        for (int c = 0; c < shape.value_dim; ++c) {
          double recalled = 0, result = 0;
          for (int i = 0; i < shape.key_dim; ++i) {
            double& value = head[i * shape.value_dim + c];
            value *= std::exp(double{g[r * shape.value_heads + h]});
            recalled += value * k[i];
          }
          const double change = (v[c] - recalled) * beta[r * shape.value_heads + h];
          for (int i = 0; i < shape.key_dim; ++i) {
            double& value = head[i * shape.value_dim + c];
            value += k[i] * change;
            result += value * q[i];
          }
          out.push_back(result);
        }
      }
    out.insert(out.end(), s.begin(), s.end());
    return out;
  }

  Shape shape;
  int rows;
  std::int64_t first;
  int key_width;
  int value_width;
  Values mixed, g, beta, state;
};

constexpr Shape shapes[] = {{1, 1, 1, 1},     {1, 2, 16, 16}, {2, 4, 33, 65},
                            {1, 1, 128, 128}, {2, 2, 7, 130}, {3, 3, 32, 31}};

TEST_CASE("both forms follow the recurrence, with the same bits on every ISA") {
  struct Run {
    int rows;
    std::int64_t first;
  };
  for (const Shape shape : shapes)
    for (const Run run :
         {Run{1, 0}, Run{5, 0}, Run{64, 64}, Run{65, 0}, Run{10, 60}, Run{140, 30}}) {
      CAPTURE(shape.key_dim);
      CAPTURE(shape.value_dim);
      CAPTURE(run.rows);
      CAPTURE(run.first);
      const Sequence sequence(shape, run.rows, run.first);
      const Exact exact = sequence.exact();
      for (const DeltaForm form : {DeltaForm::step, DeltaForm::chunked}) {
        const Values result = everywhere([&](TestDevice& d) { return sequence.run(d, form); });
        CHECK(deviation(result, exact, 1e-5, 1e-5) == "");
      }
    }
}

TEST_CASE("the step form has the same bits wherever it is cut") {
  const Sequence sequence({2, 4, 33, 65}, 70, 3);
  const Values whole = best([&](TestDevice& d) { return sequence.run(d, DeltaForm::step); });
  const Values parts = best([&](TestDevice& d) {
    return sequence.run(d, DeltaForm::step, {1, 2, 40, 69, 70});
  });
  CHECK(difference(parts, whole) == "");
}

TEST_CASE("the chunked form has the same bits when cut at multiples of 64 of the sequence") {
  const Sequence sequence({1, 2, 32, 40}, 170, 30);
  const Values whole = best([&](TestDevice& d) { return sequence.run(d, DeltaForm::chunked); });
  const Values parts = best([&](TestDevice& d) {
    return sequence.run(d, DeltaForm::chunked, {34, 162, 170});
  });
  CHECK(difference(parts, whole) == "");
}

TEST_CASE("strong decay neither overflows nor leaves NaN") {
  Sequence sequence({1, 1, 16, 16}, 64, 0);
  for (float& value : sequence.g) value = -300;
  for (const DeltaForm form : {DeltaForm::step, DeltaForm::chunked}) {
    const Values result = everywhere([&](TestDevice& d) { return sequence.run(d, form); });
    CHECK(deviation(result, sequence.exact(), 1e-5, 1e-6) == "");
  }
}

TEST_CASE("heads that do not divide and operands too small are errors") {
  TestDevice d(backend(Isa::scalar, 1), 0);
  Sequence sequence({1, 1, 4, 4}, 2, 0);
  sequence.shape.key_heads = 2;
  CHECK_THROWS_AS(sequence.run(d, DeltaForm::step), Error);
  Sequence small({1, 1, 4, 4}, 2, 0);
  CHECK_THROWS_WITH_AS(small.run(d, DeltaForm::step, 0, 2, d.room(15), d.room(16)),
                       "delta_rule: state_in holds 15 values, 16 are needed", Error);
}

}  // namespace
}  // namespace hearth::kernels::test
