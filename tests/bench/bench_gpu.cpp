// How fast a GPU reads weights, beside how fast it copies at all, and what one exchange with it
// costs:
//   bench-gpu NUMBER | --emulated
// A row for each: products of one activation with a dense matrix and with many experts, the picks
// of one layer, the wait for a router's picks. What is read goes round through more than a GPU's
// caches hold. --emulated: the same at toy sizes on a device without hardware, to see that it
// works; its figures mean nothing.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/measure.hpp"
#include "kernels/ops.hpp"
#include "tests/bench/model_codes.hpp"
#include "tests/kernels/cuda/emulated_runtime.hpp"

namespace {

using namespace hearth::kernels;
using Clock = std::chrono::steady_clock;

constexpr int samples = 7;

struct Sizes {
  std::int64_t hidden = 2048;
  std::int64_t inner = 512;                      // of an expert
  std::int64_t experts = 256;                    // in one launch
  std::size_t dense = std::size_t{512} << 20;    // bytes of the dense matrix
  std::size_t copied = std::size_t{1024} << 20;  // bytes of a copy
  int calls = 20;                                // of one sample
};
constexpr Sizes toy{128, 64, 12, std::size_t{64} << 10, std::size_t{1} << 20, 1};

// Median seconds of one call, queued one behind the other.
template <class Work>
double seconds_of(Backend& gpu, int calls, const Work& work) {
  std::vector<double> seconds;
  for (int sample = -1; sample < samples; ++sample) {
    gpu.begin(nullptr);
    const auto begin = Clock::now();
    for (int i = 0; i < calls; ++i) work(i);
    gpu.finish();
    if (sample >= 0)  // the first one warms up
      seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count() / calls);
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

// Equal matrices one behind the other, with codes as a model's are.
class Weights {
 public:
  Weights(Backend& gpu, DType type, std::int64_t rows, std::int64_t cols, std::int64_t count)
      : bytes_(static_cast<std::size_t>(rows * cols) * size_of(type)),
        storage_(gpu.allocate(bytes_ * static_cast<std::size_t>(count))) {
    const std::vector<std::byte> codes = hearth::bench::model_codes(type, -1);
    for (std::size_t at = 0; at < storage_.bytes(); at += codes.size())
      gpu.write(storage_, at,
                std::span(codes).first(std::min(codes.size(), storage_.bytes() - at)));
    if (type == DType::f8_e4m3) {
      const std::vector<float> scales(
          static_cast<std::size_t>(scale_count(ScaleForm::blocks, rows, cols)), 1e-3f);
      scales_ = gpu.allocate(scales.size() * sizeof(float));
      gpu.write(slice(scales_), scales);
    }
    for (std::int64_t i = 0; i < count; ++i)
      matrices_.emplace_back(storage_, static_cast<std::size_t>(i) * bytes_, type, rows, cols,
                             scales_ ? slice(scales_) : Slice{});
  }
  const Matrix& operator[](std::int64_t i) const {
    return matrices_[static_cast<std::size_t>(i) % matrices_.size()];
  }
  std::size_t bytes() const { return storage_.bytes(); }
  std::size_t bytes_of_one() const { return bytes_; }

 private:
  std::size_t bytes_;
  Buffer storage_;
  Buffer scales_;
  std::vector<Matrix> matrices_;
};

class Bench {
 public:
  Bench(Backend& gpu, const Sizes& sizes)
      : gpu_(gpu),
        sizes_(sizes),
        x_(gpu.allocate(static_cast<std::size_t>(sizes.hidden) * sizeof(float))) {
    const std::vector<float> ones(static_cast<std::size_t>(sizes.hidden), 1.0f);
    gpu.write(slice(x_), ones);
  }

  void run() {
    copies();
    for (const DType type : {DType::f8_e4m3, DType::bf16}) {
      dense(type);
      grouped(type);
      for (const int picks : {8, 10}) layer(type, picks);
    }
    waits();
  }

 private:
  static const char* name(DType type) { return type == DType::bf16 ? "bf16" : "f8_e4m3"; }
  Slice x() const { return slice(x_); }
  Buffer room(std::int64_t values) const {
    return gpu_.allocate(static_cast<std::size_t>(values) * sizeof(float));
  }

  void reads(const std::string& what, std::size_t bytes, double seconds) const {
    const double speed = static_cast<double>(bytes) / seconds;
    std::printf("%-44s %9.1f us %8.1f GB/s  %3.0f %% of the copies'\n", what.c_str(), seconds * 1e6,
                speed * 1e-9, 100 * speed / memory_);
    std::fflush(stdout);
  }

  // A copy inside the device reads and writes.
  void copies() {
    const Buffer from = gpu_.allocate(sizes_.copied), to = gpu_.allocate(sizes_.copied);
    const double seconds =
        seconds_of(gpu_, sizes_.calls, [&](int) { gpu_.transfer(from, 0, to, 0, sizes_.copied); });
    memory_ = 2 * static_cast<double>(sizes_.copied) / seconds;
    std::printf("copying inside the device: %.1f GB/s read and written\n", memory_ * 1e-9);
    const LinkSpeed link = measure_link(gpu_);
    std::printf(
        "the link: to it %.1f GB/s (page-locked %.1f), from it %.1f GB/s (page-locked %.1f)\n",
        link.to_plain * 1e-9, link.to_locked * 1e-9, link.from_plain * 1e-9,
        link.from_locked * 1e-9);
  }

  void dense(DType type) const {
    const auto row = static_cast<std::size_t>(sizes_.hidden) * size_of(type);
    const auto rows = static_cast<std::int64_t>(sizes_.dense / row);
    const Weights weights(gpu_, type, rows, sizes_.hidden, 1);
    const Buffer out = room(rows);
    reads(
        std::string(name(type)) + ", one row, dense", weights.bytes(),
        seconds_of(gpu_, sizes_.calls, [&](int) { gpu_.matmul(weights[0], x(), slice(out), 1); }));
  }

  void grouped(DType type) const {
    const std::int64_t rows = 2 * sizes_.inner;
    const Weights weights(gpu_, type, rows, sizes_.hidden, sizes_.experts);
    const Buffer out = room(rows * sizes_.experts);
    std::vector<MatMul> products;
    for (std::int64_t i = 0; i < sizes_.experts; ++i)
      products.push_back({weights[i], x(), part(out, i, rows), 1});
    reads(std::string(name(type)) + ", one row, " + std::to_string(sizes_.experts) + " experts",
          weights.bytes(),
          seconds_of(gpu_, sizes_.calls, [&](int) { gpu_.matmul(products, ProductForm::gemv); }));
  }

  // Gate and up, then down, of the experts that a router picks; other ones each time.
  void layer(DType type, int picks) const {
    const std::int64_t inner = sizes_.inner, hidden = sizes_.hidden;
    const Weights up(gpu_, type, 2 * inner, hidden, sizes_.experts);
    const Weights down(gpu_, type, hidden, inner, sizes_.experts);
    const Buffer gates = room(picks * 2 * inner), active = room(picks * inner);
    const Buffer out = room(picks * hidden);
    std::int64_t next = 0;
    const auto token = [&](int) {
      std::vector<MatMul> first, second;
      for (std::int64_t i = 0; i < picks; ++i, ++next) {
        first.push_back({up[next], x(), part(gates, i, 2 * inner), 1});
        second.push_back({down[next], part(active, i, inner), part(out, i, hidden), 1});
      }
      gpu_.matmul(first, ProductForm::gemv);
      // The shapes of a layer's step; which half is the gate is nothing to its time.
      gpu_.silu_mul(part(gates, 0, picks * inner), part(gates, 1, picks * inner), slice(active));
      gpu_.matmul(second, ProductForm::gemv);
    };
    const auto bytes = static_cast<std::size_t>(picks) * (up.bytes_of_one() + down.bytes_of_one());
    reads(std::string(name(type)) + ", the " + std::to_string(picks) + " picks of a layer", bytes,
          seconds_of(gpu_, sizes_.calls, token));
  }

  // What the host waits for in every layer: a router's picks. And the least of such exchanges.
  void waits() const {
    constexpr int experts = 512, picks = 10;
    const Buffer scores = room(experts);
    std::vector<std::int32_t> ids(picks);
    std::vector<float> values(picks);
    const double wait = seconds_of(gpu_, sizes_.calls, [&](int) {
      gpu_.top_k(slice(scores), 1, experts, picks, ids, values);
    });
    float word = 0;
    const double exchange = seconds_of(gpu_, sizes_.calls, [&](int) {
      gpu_.write(slice(scores, 0, 1), std::span(&word, 1));
      gpu_.read(slice(scores, 0, 1), std::span(&word, 1));
    });
    std::printf("a router's picks come to the host after %.1f us; a word there and back %.1f us\n",
                wait * 1e6, exchange * 1e6);
  }

  static Slice part(const Buffer& buffer, std::int64_t index, std::int64_t values) {
    return slice(buffer).sub(static_cast<std::size_t>(index * values),
                             static_cast<std::size_t>(values));
  }

  Backend& gpu_;
  const Sizes sizes_;
  const Buffer x_;
  double memory_ = 0;  // bytes a second
};

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2 || std::strlen(argv[1]) == 0) {
      std::fprintf(stderr, "usage: bench-gpu NUMBER | --emulated\n");
      return 2;
    }
    const bool emulated = std::string_view(argv[1]) == "--emulated";
    const std::unique_ptr<Backend> gpu =
        emulated ? cuda::emulated_backend({Device::Kind::cuda, 0},
                                          std::make_shared<cuda::EmulatedControl>())
                 : open_cuda(std::atoi(argv[1]));
    std::printf("%s\n", gpu->description().c_str());
    Bench(*gpu, emulated ? toy : Sizes{}).run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-gpu: %s\n", error.what());
    return 1;
  }
}
