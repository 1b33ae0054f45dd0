// Handles: allocation, windows, and that nothing reaches outside.
#include <cstdint>
#include <limits>
#include <new>

#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

Backend& host() {
  return backend(Isa::scalar, 1);
}

TEST_CASE("a buffer is aligned, zeroed and knows its size") {
  for (const std::size_t bytes : {0, 1, 63, 64, 1000, 1 << 22}) {
    const Buffer buffer = host().allocate(bytes);
    CHECK(static_cast<bool>(buffer));
    CHECK(buffer.bytes() == bytes);
    CHECK(buffer.device() == Device{});
    const std::span<std::byte> all = host().map(buffer).value();
    CHECK(reinterpret_cast<std::uintptr_t>(all.data()) % 64 == 0);
    std::size_t other = 0;
    for (const std::byte byte : all) other += byte == std::byte{0} ? 0 : 1;
    CHECK(other == 0);
  }
  CHECK_FALSE(static_cast<bool>(Buffer{}));
}

TEST_CASE("memory that cannot be had is an error") {
  CHECK_THROWS_AS(host().allocate(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  CHECK_THROWS_AS(host().allocate(std::numeric_limits<std::size_t>::max() - 100), std::bad_alloc);
}

TEST_CASE("bytes come back as they were written, and copies may overlap") {
  Buffer a = host().allocate(8);
  std::vector<std::byte> bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(i));
  host().write(a, 0, bytes);
  host().copy(a, 0, a, 2, 6);
  std::vector<std::byte> back(8);
  host().read(a, 0, back);
  for (const int i : {2, 3, 4, 5, 6, 7}) CHECK(back[i] == bytes[i - 2]);
}

TEST_CASE("reading, writing and copying outside a buffer are errors") {
  Buffer a = host().allocate(8);
  std::vector<std::byte> four(4);
  CHECK_THROWS_AS(host().write(a, 5, four), Error);
  CHECK_THROWS_AS(host().read(a, std::numeric_limits<std::size_t>::max(), four), Error);
  CHECK_THROWS_AS(host().copy(a, 0, a, 4, 5), Error);
  Values three(3);
  CHECK_THROWS_AS(host().read(slice(a), three), Error);
  CHECK_THROWS_AS(host().write(slice(a), three), Error);
}

TEST_CASE("a window lies inside its buffer or is an error") {
  const Buffer a = host().allocate(42);
  CHECK(slice(a).size() == 10);
  CHECK(slice(a, 4, 9).size() == 9);
  CHECK(slice(a, 40, 0).size() == 0);
  CHECK_THROWS_AS(slice(a, 2, 1), Error);
  CHECK_THROWS_AS(slice(a, 4, 10), Error);
  CHECK_THROWS_AS(slice(a, 44, 0), Error);
  CHECK_THROWS_AS(slice(a, 0, std::numeric_limits<std::size_t>::max() / 2), Error);
  CHECK(slice(a).sub(3, 7).size() == 7);
  CHECK_THROWS_AS(slice(a).sub(3, 8), Error);
  CHECK_THROWS_AS(slice(a).sub(std::numeric_limits<std::size_t>::max(), 1), Error);
}

TEST_CASE("a matrix lies inside its buffer and has the scales it needs, or is an error") {
  const Buffer a = host().allocate(130 * 129);
  const Buffer scales = host().allocate(4 * sizeof(float));
  CHECK(Matrix(a, 0, DType::f8_e4m3, 130, 129, slice(scales)).rows() == 130);
  CHECK(Matrix(a, 2, DType::bf16, 129, 64).cols() == 64);
  CHECK_FALSE(static_cast<bool>(Matrix{}));
  CHECK_THROWS_AS(Matrix(a, 0, DType::f8_e4m3, 130, 129), Error);
  CHECK_THROWS_AS(Matrix(a, 0, DType::f8_e4m3, 130, 129, slice(scales).sub(0, 3)), Error);
  CHECK_THROWS_AS(Matrix(a, 1, DType::f8_e4m3, 130, 129, slice(scales)), Error);
  CHECK_THROWS_AS(Matrix(a, 0, DType::f32, 130, 129), Error);
  CHECK_THROWS_AS(Matrix(a, 0, DType::f32, 0, 1), Error);
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  CHECK_THROWS_AS(Matrix(a, 0, DType::f32, huge, huge), Error);
  CHECK_THROWS_AS(Matrix(a, 0, DType::f32, -1, 4), Error);
}

TEST_CASE("a CUDA device that is not there is an error that says why") {
  const CudaDevices found = cuda_devices();
  const std::string device = "CUDA device " + std::to_string(found.count) + " cannot be used: ";
  if (!found.built) CHECK(found.missing == "this hearth was built without CUDA");
  CHECK((found.count > 0) == found.missing.empty());
  CHECK_THROWS_WITH_AS(open_cuda(found.count), doctest::Contains((device + found.missing).c_str()),
                       Error);
}

}  // namespace
}  // namespace hearth::kernels::test
