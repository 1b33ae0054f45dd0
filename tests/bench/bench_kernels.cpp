// How fast the products read their weights, beside how fast this machine reads memory at all:
//   bench-kernels [threads]
// Weights are 2048 × 2048; enough copies are read in turn that no cache holds them.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "kernels/ops.hpp"

namespace {

using namespace hearth::kernels;

constexpr std::int64_t side = 2048;
constexpr std::size_t working_set = std::size_t{256} << 20;
constexpr double least_seconds = 0.4;

// Calls work() until it has taken long enough; GB/s of the bytes of one call.
template <class Work>
double measure(std::size_t bytes, Work work) {
  using Clock = std::chrono::steady_clock;
  work();
  const auto begin = Clock::now();
  double seconds = 0;
  int calls = 0;
  while (seconds < least_seconds) {
    work();
    ++calls;
    seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return static_cast<double>(bytes) * calls / seconds * 1e-9;
}

double read_bandwidth(int threads) {
  const std::vector<std::uint64_t> memory(working_set / sizeof(std::uint64_t), 1);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads) * 8);  // a cache line apart
  const double speed = measure(working_set, [&] {
    std::vector<std::thread> readers;
    for (int t = 0; t < threads; ++t)
      readers.emplace_back([&, t] {
        const std::size_t share = memory.size() / static_cast<std::size_t>(threads);
        const std::uint64_t* const from = memory.data() + share * static_cast<std::size_t>(t);
        std::uint64_t sum[8] = {};
        for (std::size_t i = 0; i + 8 <= share; i += 8)
          for (int lane = 0; lane < 8; ++lane) sum[lane] += from[i + lane];
        for (const std::uint64_t value : sum) sums[static_cast<std::size_t>(t) * 8] += value;
      });
    for (std::thread& reader : readers) reader.join();
  });
  return sums[0] == 0 ? 0 : speed;
}

struct Format {
  const char* name;
  DType type;
};

double product_bandwidth(Backend& backend, DType type, int rows) {
  const std::size_t bytes = static_cast<std::size_t>(side * side) * size_of(type);
  const std::size_t copies = working_set / bytes;
  const Buffer weights = backend.allocate(copies * bytes);
  for (std::size_t i = 0; std::byte & code : backend.map(weights))
    code = static_cast<std::byte>((i++ * 2654435761u >> 24) & 0xbb);  // never NaN
  const std::size_t blocks = static_cast<std::size_t>(side / Matrix::block);
  const Buffer scale_bytes = backend.allocate(blocks * blocks * sizeof(float));
  const Slice scales = slice(scale_bytes);
  backend.write(scales, std::vector<float>(scales.size(), 0.5f));
  const auto values = static_cast<std::size_t>(rows) * static_cast<std::size_t>(side);
  const Buffer x = backend.allocate(values * sizeof(float));
  const Buffer y = backend.allocate(values * sizeof(float));
  backend.write(slice(x), std::vector<float>(values, 0.25f));

  std::size_t copy = 0;
  return measure(bytes, [&] {
    const Matrix w(weights, copy * bytes, type, side, side,
                   type == DType::f8_e4m3 ? scales : Slice{});
    copy = (copy + 1) % copies;
    backend.matmul(w, slice(x), slice(y), rows);
  });
}

int run(int threads) {
  std::printf("memory read: %.1f GB/s with %d threads\n", read_bandwidth(threads), threads);
  std::printf("%-8s %-8s %16s %16s %22s\n", "isa", "weights", "1 row GB/s", "8 rows GB/s",
              "512 rows GFMA/s");
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    if (!host_has(isa)) {
      std::printf("%-8s skipped: this processor does not have it\n", name(isa).data());
      continue;
    }
    CpuChoice choice;
    const std::unique_ptr<Backend> backend = open_cpu(threads, isa, choice);
    for (const std::string& note : choice.notes) std::printf("note: %s\n", note.c_str());
    for (const Format format : {Format{"f8_e4m3", DType::f8_e4m3}, Format{"bf16", DType::bf16},
                                Format{"f16", DType::f16}, Format{"f32", DType::f32}}) {
      const double one = product_bandwidth(*backend, format.type, 1);
      const double eight = product_bandwidth(*backend, format.type, 8);
      const int many = isa == Isa::scalar ? 8 : 512;
      const double gfma = product_bandwidth(*backend, format.type, many) /
                          static_cast<double>(size_of(format.type)) * many;
      std::printf("%-8s %-8s %16.2f %16.2f %22.2f\n", name(isa).data(), format.name, one, eight,
                  gfma);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const int threads =
      argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
  if (threads < 1) {
    std::fprintf(stderr, "usage: bench-kernels [threads]\n");
    return 2;
  }
  return run(threads);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench-kernels: %s\n", error.what());
  return 1;
}
