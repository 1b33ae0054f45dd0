// What the kernel tests share: every backend this host can open, made-up values, comparison by bits
// and by tolerance.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/ops.hpp"

namespace hearth::kernels::test {

using Values = std::vector<float>;
using Exact = std::vector<double>;

// Uniform in [-scale, scale); the same for the same seed.
Values made_up(std::int64_t count, float scale, std::uint32_t seed);
// The index of a weight's scale among those of its matrix.
std::size_t scale_index(ScaleForm form, std::int64_t cols, std::int64_t row, std::int64_t col);
// Codes of a format without NaN and infinities.
std::vector<std::byte> made_up_codes(DType type, std::int64_t count, std::uint32_t seed);

// The value of code i, decoded in the plainest way.
double decoded(DType type, const std::vector<std::byte>& codes, std::int64_t i);

// A backend and the operands of one computation on it. Windows begin `shift` values into their
// buffers, so that alignment can be varied.
class TestDevice {
 public:
  TestDevice(Backend& backend, std::int64_t shift) : backend_(backend), shift_(shift) {}

  Backend& operator*() { return backend_; }
  Backend* operator->() { return &backend_; }
  Slice put(const Values& values);
  Slice room(std::int64_t count);  // filled with a value that no result has
  Values get(Slice slice);
  // The codes begin `shift` bytes into their buffer.
  Matrix matrix(DType type, std::int64_t rows, std::int64_t cols,
                const std::vector<std::byte>& codes, const Values& scales = {},
                ScaleForm scale_form = ScaleForm::blocks);
  KvCache kv(DType type, std::int64_t capacity, int heads, int head_dim);

 private:
  Backend& backend_;
  std::int64_t shift_;
  std::vector<Buffer> buffers_;
};

using Computation = std::function<Values(TestDevice&)>;

// The ISAs of this host that give the same bits in all operations (amx does not: see
// amx_test.cpp); says once which ones are skipped.
const std::vector<Isa>& host_isas();
// Opened once; it must use the ISA for every operation.
Backend& backend(Isa isa, int threads);
// The result on the best ISA, on one thread.
Values best(const Computation& compute);
// A CUDA device: the machine's own where HEARTH_GPU names it, else one whose kernels run on the
// CPU; null where ThreadSanitizer watches.
Backend* gpu();
// The result by the scalar definition on one thread, after checking that every ISA, thread count
// and alignment, and the CUDA device, gives the same bits.
Values everywhere(const Computation& compute);

// Empty when equal bit for bit (any NaN for any NaN), else a sentence with the first difference.
std::string difference(const Values& actual, const Values& expected);
// Empty when |actual - expected| ≤ absolute + relative·|expected| everywhere.
std::string deviation(const Values& actual, const Exact& expected, double relative,
                      double absolute);

}  // namespace hearth::kernels::test
