// Norms, RoPE, convolution, gates and the elementwise operations: the definition against formulas
// in double, every ISA against the definition.
#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

constexpr int dims[] = {1, 7, 32, 33, 100, 129, 257, 2048};

double exact_sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

double mean_of_squares(const Values& x, std::int64_t begin, int count) {
  double sum = 0;
  for (std::int64_t i = begin; i < begin + count; ++i) sum += double{x[i]} * double{x[i]};
  return sum / count;
}

TEST_CASE("rms_norm scales by the inverse root of the mean square and by one plus the weight") {
  constexpr int rows = 3;
  for (const int dim : dims) {
    const int in_stride = dim + 2, out_stride = dim + 1;
    const Values x = made_up(rows * in_stride, 3, 1), weight = made_up(dim, 1, 2);
    const Values out = everywhere([&](TestDevice& d) {
      const Slice to = d.room(rows * out_stride);
      d->rms_norm({d.put(x), in_stride}, d.put(weight), {to, out_stride}, rows, dim, 1e-6f);
      return d.get(to);
    });
    for (int r = 0; r < rows; ++r) {
      const double scale = 1 / std::sqrt(mean_of_squares(x, r * in_stride, dim) + 1e-6);
      Exact expected;
      for (int i = 0; i < dim; ++i)
        expected.push_back(x[r * in_stride + i] * scale * (1 + double{weight[i]}));
      const Values row(out.begin() + r * out_stride, out.begin() + r * out_stride + dim);
      CHECK(deviation(row, expected, 1e-6, 1e-7) == "");
    }
    for (int r = 0; r < rows; ++r) CHECK(out[r * out_stride + dim] == doctest::Approx(-12345.678));
  }
}

TEST_CASE("rms_norm may write over its input") {
  const Values x = made_up(5 * 70, 3, 1), weight = made_up(70, 1, 2);
  const auto run = [&](TestDevice& d, bool in_place) {
    const Slice from = d.put(x);
    const Slice to = in_place ? from : d.room(5 * 70);
    d->rms_norm({from, 70}, d.put(weight), {to, 70}, 5, 70, 1e-6f);
    return d.get(to);
  };
  const Values apart = everywhere([&](TestDevice& d) { return run(d, false); });
  CHECK(difference(everywhere([&](TestDevice& d) { return run(d, true); }), apart) == "");
}

TEST_CASE("gated_rms_norm scales by the plain weight and by silu of the gate") {
  constexpr int rows = 4;
  for (const int dim : dims) {
    const Values x = made_up(rows * dim, 3, 3), z = made_up(rows * dim, 6, 4);
    const Values weight = made_up(dim, 1, 5);
    const Values out = everywhere([&](TestDevice& d) {
      const Slice to = d.room(rows * dim);
      d->gated_rms_norm(d.put(x), d.put(z), d.put(weight), to, rows, dim, 1e-6f);
      return d.get(to);
    });
    Exact expected;
    for (int i = 0; i < rows * dim; ++i) {
      const double scale = 1 / std::sqrt(mean_of_squares(x, i / dim * dim, dim) + 1e-6);
      expected.push_back(double{weight[i % dim]} * x[i] * scale * z[i] * exact_sigmoid(z[i]));
    }
    CHECK(deviation(out, expected, 2e-6, 1e-7) == "");
  }
}

TEST_CASE("l2_norm brings every group to length `scale`, and leaves what lies between rows") {
  constexpr int rows = 3, groups = 2;
  for (const int dim : dims) {
    const int stride = groups * dim + 3;
    const Values x = made_up(rows * stride, 2, 6);
    const Values out = everywhere([&](TestDevice& d) {
      const Slice values = d.put(x);
      d->l2_norm({values, stride}, rows, groups, dim, 0.25f);
      return d.get(values);
    });
    Exact expected(x.begin(), x.end());
    for (int r = 0; r < rows; ++r)
      for (int i = 0; i < groups * dim; ++i) {
        const std::int64_t group = std::int64_t{r} * stride + i / dim * dim;
        const double length = std::sqrt(mean_of_squares(x, group, dim) * dim + 1e-6);
        expected[r * stride + i] *= 0.25 / length;
      }
    CHECK(deviation(out, expected, 1e-6, 1e-7) == "");
  }
}

TEST_CASE("rope turns pairs of the first dims of each head and leaves the rest") {
  constexpr int rows = 3, heads = 2;
  for (const int half : {1, 5, 32, 33, 64}) {
    const int head_dim = 2 * half + 3;
    const Values x = made_up(rows * heads * head_dim, 2, 7);
    const Values angles = made_up(rows * half, 3, 8);
    Values cos, sin;
    for (const float angle : angles) {
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
    const Values out = everywhere([&](TestDevice& d) {
      const Slice values = d.put(x);
      d->rope(values, d.put(cos), d.put(sin), rows, heads, head_dim, half);
      return d.get(values);
    });
    Exact expected(x.begin(), x.end());
    for (int r = 0; r < rows; ++r)
      for (int h = 0; h < heads; ++h)
        for (int i = 0; i < half; ++i) {
          const int at = (r * heads + h) * head_dim + i;
          const double c = cos[r * half + i], s = sin[r * half + i];
          expected[at] = x[at] * c - x[at + half] * s;
          expected[at + half] = x[at + half] * c + x[at] * s;
        }
    CHECK(deviation(out, expected, 1e-6, 1e-6) == "");
  }
}

Values convolved(TestDevice& d, const Values& x, const Values& weight, const Values& history,
                 int channels, int kernel, int first, int rows, Slice* history_out) {
  const Slice out = d.room(rows * channels);
  const auto begin = x.begin() + first * channels;
  d->conv_silu(d.put({begin, begin + rows * channels}), d.put(weight), d.put(history), *history_out,
               out, rows, channels, kernel);
  return d.get(out);
}

TEST_CASE("conv_silu mixes each channel with its past and hands the last inputs on") {
  struct Case {
    int rows, channels, kernel;
  };
  for (const Case c : {Case{1, 1, 4}, Case{1, 33, 4}, Case{2, 129, 4}, Case{3, 64, 2},
                       Case{9, 7, 4}, Case{70, 40, 4}, Case{4, 257, 1}, Case{5, 32, 16}}) {
    const Values x = made_up(c.rows * c.channels, 2, 9);
    const Values weight = made_up(c.channels * c.kernel, 1, 10);
    const Values history = made_up((c.kernel - 1) * c.channels, 2, 11);
    const Values result = everywhere([&](TestDevice& d) {
      Slice after = d.room((c.kernel - 1) * c.channels);
      Values all = convolved(d, x, weight, history, c.channels, c.kernel, 0, c.rows, &after);
      const Values last = d.get(after);
      all.insert(all.end(), last.begin(), last.end());
      return all;
    });
    Values inputs = history;
    inputs.insert(inputs.end(), x.begin(), x.end());
    Exact expected;
    for (int t = 0; t < c.rows; ++t)
      for (int ch = 0; ch < c.channels; ++ch) {
        double sum = 0;
        for (int j = 0; j < c.kernel; ++j)
          sum += double{weight[ch * c.kernel + j]} * inputs[(t + j) * c.channels + ch];
        expected.push_back(sum * exact_sigmoid(sum));
      }
    expected.insert(expected.end(), inputs.begin() + c.rows * c.channels, inputs.end());
    CHECK(deviation(result, expected, 1e-5, 1e-6) == "");
  }
}

TEST_CASE("conv_silu gives the same bits in one call and row by row with the history in place") {
  constexpr int rows = 6, channels = 35, kernel = 4;
  const Values x = made_up(rows * channels, 2, 12), weight = made_up(channels * kernel, 1, 13);
  const Values history = made_up((kernel - 1) * channels, 2, 14);
  const Values whole = everywhere([&](TestDevice& d) {
    Slice after = d.room((kernel - 1) * channels);
    return convolved(d, x, weight, history, channels, kernel, 0, rows, &after);
  });
  const Values steps = everywhere([&](TestDevice& d) {
    const Slice past = d.put(history);
    Values all;
    for (int t = 0; t < rows; ++t) {
      const Slice out = d.room(channels);
      const auto begin = x.begin() + t * channels;
      d->conv_silu(d.put({begin, begin + channels}), d.put(weight), past, past, out, 1, channels,
                   kernel);
      const Values row = d.get(out);
      all.insert(all.end(), row.begin(), row.end());
    }
    return all;
  });
  CHECK(difference(steps, whole) == "");
}

TEST_CASE("delta_gates: beta is a sigmoid, g a decay that is never positive") {
  constexpr int rows = 5, heads = 7;
  const Values b = made_up(rows * heads, 8, 15), a = made_up(rows * heads, 8, 16);
  const Values a_log = made_up(heads, 2, 17), bias = made_up(heads, 4, 18);
  const Values result = everywhere([&](TestDevice& d) {
    const Slice beta = d.room(rows * heads), g = d.room(rows * heads);
    d->delta_gates(d.put(b), d.put(a), d.put(a_log), d.put(bias), beta, g, rows, heads);
    Values all = d.get(beta);
    const Values decay = d.get(g);
    all.insert(all.end(), decay.begin(), decay.end());
    return all;
  });
  Exact expected;
  for (int i = 0; i < rows * heads; ++i) expected.push_back(exact_sigmoid(b[i]));
  for (int i = 0; i < rows * heads; ++i) {
    const double sum = double{a[i]} + bias[i % heads];
    expected.push_back(-std::exp(double{a_log[i % heads]}) * std::log1p(std::exp(sum)));
  }
  CHECK(deviation(result, expected, 2e-6, 1e-9) == "");
}

TEST_CASE("the elementwise operations, at sizes from one to more than a cache") {
  for (const std::int64_t count : {1, 31, 33, 1000, 300001}) {
    const Values a = made_up(count, 20, 19), b = made_up(count, 2, 20);
    const auto run = [&](auto operation) {
      return everywhere([&](TestDevice& d) {
        const Slice out = d.room(count);
        ((*d).*operation)(d.put(a), d.put(b), out);
        return d.get(out);
      });
    };
    Exact sums, silus, sigmoids;
    for (std::int64_t i = 0; i < count; ++i) {
      sums.push_back(double{a[i]} + b[i]);
      silus.push_back(a[i] * exact_sigmoid(a[i]) * b[i]);
      sigmoids.push_back(exact_sigmoid(a[i]) * b[i]);
    }
    CHECK(deviation(run(&Backend::add), sums, 1e-7, 0) == "");
    CHECK(deviation(run(&Backend::silu_mul), silus, 1e-6, 0) == "");
    CHECK(deviation(run(&Backend::sigmoid_mul), sigmoids, 1e-6, 0) == "");
  }
}

TEST_CASE("exp has the same bits on every ISA for floats of every kind") {
  Values x;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 40961)
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  const auto count = static_cast<std::int64_t>(x.size());
  everywhere([&](TestDevice& d) {
    const Slice out = d.room(count);
    d->silu_mul(d.put(x), d.put(Values(x.size(), 1.0f)), out);
    return d.get(out);
  });
}

TEST_CASE("combine_experts adds the slots in order, the gated shared expert and the residual") {
  constexpr int rows = 3, slots = 5;
  for (const int dim : {1, 33, 300}) {
    const Values y = made_up(rows * slots * dim, 2, 21), weights = made_up(rows * slots, 1, 22);
    const Values shared = made_up(rows * dim, 2, 23), gate = made_up(rows, 4, 24);
    const Values residual = made_up(rows * dim, 2, 25);
    const Values out = everywhere([&](TestDevice& d) {
      const Slice to = d.room(rows * dim);
      d->combine_experts(d.put(y), weights, d.put(shared), d.put(gate), d.put(residual), to, rows,
                         slots, dim);
      return d.get(to);
    });
    Exact expected;
    for (int r = 0; r < rows; ++r)
      for (int i = 0; i < dim; ++i) {
        double sum = exact_sigmoid(gate[r]) * shared[r * dim + i] + residual[r * dim + i];
        for (int s = 0; s < slots; ++s)
          sum += double{weights[r * slots + s]} * y[(r * slots + s) * dim + i];
        expected.push_back(sum);
      }
    CHECK(deviation(out, expected, 1e-6, 1e-6) == "");
  }
}

// Scores far apart lose some digits to the subtraction of the largest.
TEST_CASE("softmax sums to one and keeps far apart values apart") {
  constexpr int rows = 3;
  for (const int dim : dims) {
    Values x = made_up(rows * dim, 60, 26);
    x[0] = -HUGE_VALF;
    if (dim == 1) x[0] = 0;
    const Values out = everywhere([&](TestDevice& d) {
      const Slice values = d.put(x);
      d->softmax(values, rows, dim);
      return d.get(values);
    });
    Exact expected;
    for (int r = 0; r < rows; ++r) {
      const auto begin = x.begin() + r * dim;
      const double max = *std::max_element(begin, begin + dim);
      double sum = 0;
      for (int i = 0; i < dim; ++i) sum += std::exp(begin[i] - max);
      for (int i = 0; i < dim; ++i) expected.push_back(std::exp(begin[i] - max) / sum);
    }
    CHECK(deviation(out, expected, 1e-5, 1e-30) == "");
  }
}

}  // namespace
}  // namespace hearth::kernels::test
